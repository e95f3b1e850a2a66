/** Work that many events ask for, and that is done once: before the next picture, or soon in a page nobody looks at. */

const HIDDEN_MS = 200;

/** A function that lets `work` be done soon; its `now` does it at once. */
export function later(work) {
  let waiting = false;
  const run = () => {
    if (!waiting) return;
    waiting = false;
    work();
  };
  const ask = () => {
    if (waiting) return;
    waiting = true;
    if (document.visibilityState === "visible") requestAnimationFrame(run);
    setTimeout(run, HIDDEN_MS); // pictures may have stopped meanwhile
  };
  ask.now = () => {
    waiting = true;
    run();
  };
  return ask;
}
