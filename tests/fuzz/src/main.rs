//! One program for all targets of [`connectord::fuzzing`], so that it is linked once: `FUZZ_TARGET` names the one to run.

#![no_main]

use std::sync::LazyLock;

use connectord::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    *target.unwrap_or_else(|| {
        panic!("FUZZ_TARGET is to be one of the targets in src/fuzzing.rs, it is {name:?}")
    })
});

fuzz_target!(|data: &[u8]| TARGET.1(data));
