//! What is fuzzed: for each parser of foreign bytes a function that takes any bytes and asserts what has to hold.
//!
//! `tests/fuzz` runs them with libFuzzer, which is led by coverage; the tests here run them on the seeds that are kept in
//! `tests/fuzz/seeds/NAME`. A new finding becomes a seed, so that `cargo test` keeps it from coming back.

/// A function under test: its name, and what takes the bytes. It panics where something does not hold.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("query", crate::api::fuzzing::query),
    ("authorization", crate::api::fuzzing::authorization),
    ("conditions", crate::api::fuzzing::conditions),
    ("filter", crate::domain::fuzzing::filter),
    ("mount_options", crate::domain::fuzzing::mount_options),
    ("endpoint", crate::domain::fuzzing::endpoint),
    ("s3_answer", crate::cloud::fuzzing::s3_answer),
    ("azure_answer", crate::cloud::fuzzing::azure_answer),
    ("swift_answer", crate::cloud::fuzzing::swift_answer),
    ("commit_log", crate::store::fuzz_commit_log),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds");

    #[test]
    fn every_target_holds_for_its_seeds() {
        let mut problems = Vec::new();
        for (name, target) in TARGETS {
            let seeds = std::fs::read_dir(Path::new(SEEDS).join(name)).expect(name);
            let mut count = 0;
            for seed in seeds {
                let path = seed.expect("an entry").path();
                let bytes = std::fs::read(&path).expect("a file");
                if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                    problems.push(path);
                }
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn every_folder_of_seeds_has_a_target() {
        for folder in std::fs::read_dir(SEEDS).expect("the seeds") {
            let folder = folder.expect("an entry").file_name();
            assert!(TARGETS.iter().any(|(name, _)| folder == *name), "{folder:?}");
        }
    }
}
