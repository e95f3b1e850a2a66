"""The message service of a browser client of the older system, in JavaScript, against a real server."""
