// One request at a time, and then the latest that was asked for: typing never lags behind by more than one request.

/** Wraps `load(what)`: while one runs, only the last of those asked for meanwhile is remembered. `done` follows each. */
export function latestOnly(load, done) {
  let isBusy = false;
  let next = null;
  const run = async (what) => {
    isBusy = true;
    try {
      await load(what);
    } finally {
      isBusy = false;
    }
    if (next === null) {
      done();
      return;
    }
    const [waiting] = next;
    next = null;
    done();
    await run(waiting);
  };
  return {
    ask(what) {
      if (isBusy) next = [what];
      else run(what);
    },
    isBusy: () => isBusy,
  };
}
