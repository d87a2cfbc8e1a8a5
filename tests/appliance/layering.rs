//! The direction of dependencies: which part may name which crate, read from the sources themselves; and no unsafe code.

use std::path::Path;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// A crate or module, and the parts of `src/` that may name it; everything else must not.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hyper", &["server.rs", "api.rs", "api/", "cloud/"]),
    ("hyper_util", &["server.rs", "cloud/http/"]),
    ("http_body_util", &["api.rs", "api/", "cloud/http"]),
    ("flate2", &["api/constant.rs"]),
    ("sled", &["store/"]),
    ("s3", &["cloud.rs", "cloud/"]),
    ("tokio_rustls", &["cloud/", "server/"]),
    ("webpki", &["cloud/http/", "server/"]),
    ("rcgen", &["server/"]),
    ("tokio_socks", &["cloud/"]),
    ("futures_util", &["cloud.rs", "cloud/"]),
    ("quick_xml", &["cloud/"]),
    ("argon2", &["credentials.rs", "credentials/"]),
    ("ipnet", &["config/"]),
    ("hkdf", &["store/sealing.rs"]),
    ("clap", &["cli.rs", "cli/"]),
    (
        "tokio",
        &[
            "server.rs",
            "server/",
            "api.rs",
            "api/",
            "app.rs",
            "audit/tests.rs",
            "cli/",
            "cloud.rs",
            "cloud/",
            "jobs.rs",
            "turns.rs",
            "credentials.rs",
            "credentials/",
            "store.rs",
            "store/",
        ],
    ),
    (
        "crate::store",
        &[
            "app.rs",
            "api/",
            "audit.rs",
            "audit/",
            "cli.rs",
            "cli/",
            "config",
            "credentials.rs",
            "credentials/",
            "jobs.rs",
            "server/self_signed.rs",
            "store/",
            "benchmark.rs",
            "fuzzing.rs",
        ],
    ),
    ("crate::audit", &["app.rs", "api/", "audit/", "cli/users.rs"]),
    ("crate::credentials", &["app.rs", "api/", "cli/", "config", "credentials/"]),
    ("crate::api", &["server.rs", "api.rs", "api/", "fuzzing.rs"]),
    ("crate::server", &["server.rs", "server/", "cli/"]),
    ("crate::app", &["api.rs", "api/", "server.rs", "cli/"]),
    ("crate::cli", &["cli/"]),
    ("crate::jobs", &["api/", "app.rs", "jobs/"]),
    (
        "crate::cloud",
        &[
            "app.rs",
            "cli/check_config.rs",
            "cli/serve.rs",
            "jobs.rs",
            "jobs/",
            "cloud.rs",
            "cloud/",
            "fuzzing.rs",
        ],
    ),
];

/// What the domain may name besides itself and the standard library: types and pure functions, no I/O.
const DOMAIN: &[&str] =
    &["std", "crate::domain", "super", "self", "time", "url", "sha2", "subtle", "zeroize"];

#[test]
fn parts_name_only_what_they_may() {
    let mut problems = Vec::new();
    let mut files = 0;
    visit(Path::new(SOURCES), &mut |path, text| {
        files += 1;
        let name = path.strip_prefix(SOURCES).expect("below src").display().to_string();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (dependency, parts) in ALLOWED {
                let is_allowed = parts.iter().any(|part| name.starts_with(part));
                if !is_allowed && names(code, dependency) {
                    problems.push(format!("src/{name}:{} names {dependency}", number + 1));
                }
            }
            let used = code.trim().strip_prefix("use ").unwrap_or("std");
            let is_known =
                DOMAIN.iter().any(|allowed| used == *allowed || used.starts_with(&format!("{allowed}::")));
            if name.starts_with("domain") && !is_known {
                problems.push(format!("src/{name}:{} uses {used}", number + 1));
            }
        }
    });
    assert!(files > 30, "only {files} source files were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// `forbid` cannot be taken back by an attribute; it has only to stay in both manifests.
#[test]
fn unsafe_code_is_forbidden() {
    for manifest in ["Cargo.toml", "tests/fuzz/Cargo.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
        let text = std::fs::read_to_string(path).expect(manifest);
        let lints = text.split_once("[lints.rust]\n").map_or("", |(_, after)| after);
        let lints = lints.split("\n[").next().unwrap_or_default();
        assert!(lints.lines().any(|line| line == "unsafe_code = \"forbid\""), "{manifest}");
    }
}

/// Whether the code has the path `dependency::…`, not as a part of a longer name.
fn names(code: &str, dependency: &str) -> bool {
    let path = format!("{dependency}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':')
    })
}

fn visit(directory: &Path, found: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found(&path, &std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}
