/** What outlives a reload, where the browser lets this page keep anything; where not, all else works. */

const NOWHERE = { getItem: () => null, setItem() {}, removeItem() {} };

function storage(name) {
  try {
    return window[name];
  } catch {
    return NOWHERE; // this page may keep nothing: cookies are blocked
  }
}

/** For this tab. */
export const tab = storage("sessionStorage");
/** For all tabs, and tomorrow. */
export const browser = storage("localStorage");
