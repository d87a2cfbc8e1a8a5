//! The life of the keys: the recovery walk, wrong and missing keys, where a key file may be, and new keys.

mod failures;
mod places;
mod rotation;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::service::{Service, TestDirectory, command};
use crate::secrets::search;

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const CODE_LABEL: &str = "recovery code: ";
/// A key of no store.
const OTHER_KEY: &str = "cdk1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

/// A store with secrets in it, and what opens it.
struct Filled {
    directory: TestDirectory,
    contents: Value,
    code: String,
}

impl Filled {
    fn new() -> Self {
        let directory = TestDirectory::new();
        let service = Service::start(directory.path());
        let code =
            shown_code(&fs::read_to_string(directory.path().join("data/first-start.txt")).expect("shown"));
        for number in 0..8 {
            let body = json!({ "name": format!("c{number}"), "url": "h", "secret_key": format!("PLAIN-secret-{number}"),
                "url_proxy": format!("http://u:PLAIN-proxy-{number}@h:1"),
                "options": format!("proxy=http://u:PLAIN-option-{number}@h,uid=1") });
            service.admin().post(CONNECTORS, &body).expect_status(201);
        }
        service.make_key(&["cloud_connectors/*"]);
        service
            .admin()
            .put(&format!("{CONNECTORS}/3"), &json!({ "secret_key": "PLAIN-changed" }))
            .expect_status(200);
        let contents = contents(&service);
        service.stop();
        Self { directory, contents, code }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn key(&self) -> PathBuf {
        self.data().join("secret.key")
    }

    /// The store opens and holds everything.
    #[track_caller]
    fn check_whole(&self) {
        let service = Service::start(self.path());
        assert_eq!(contents(&service), self.contents);
        service.stop();
    }

    /// A command on this store's directory, with what is typed into it.
    fn run(&self, arguments: &[&str], input: &str) -> (i32, String) {
        run(self.command(arguments), input)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (name, rest) = arguments.split_first().expect("a subcommand");
        let data = self.data().display().to_string();
        command(&[&[*name, "--data-dir", &data], rest].concat())
    }

    /// Starts that are refused with all of these words, and change nothing.
    #[track_caller]
    fn check_refused(&self, parts: &[&str]) -> String {
        let (status, said) = self.run(&["serve", "--listen", "127.0.0.1:0"], "");
        assert_eq!(status, 2, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        said
    }
}

fn contents(service: &Service) -> Value {
    let mut keys = service.admin().get("/api/v2/users/me/api_keys").expect_status(200).json();
    for key in keys["api_keys"].as_array_mut().expect("a list") {
        key.as_object_mut().expect("an object").remove("last_used_at");
    }
    json!([service.admin().get(CONNECTORS).expect_status(200).json(), keys])
}

fn run(mut command: Command, input: &str) -> (i32, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // A command that is refused does not read.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("waited");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// The recovery code in the file of the first start, or in what `rotate-key` says.
#[track_caller]
fn shown_code(text: &str) -> String {
    let is_code = |line: &&str| line.len() == 39 && line.split('-').all(|group| group.len() == 4);
    let lines = text.lines().map(|line| line.strip_prefix(CODE_LABEL).unwrap_or(line).trim());
    lines.clone().find(is_code).unwrap_or_else(|| panic!("no code in: {text}")).to_owned()
}

#[test]
fn the_recovery_walk() {
    let store = Filled::new();
    // The folder sled alone, in another place.
    let restored = TestDirectory::new();
    let data = restored.path().join("data");
    fs::create_dir(&data).expect("created");
    copy(&store.data().join("sled"), &data.join("sled"));
    let moved = Filled { directory: restored, contents: store.contents.clone(), code: store.code.clone() };
    moved.check_refused(&[
        "secret.key cannot be read",
        "of fingerprint",
        "connectord recover",
        "secret_key_file",
    ]);
    assert!(!moved.key().exists() && !data.join("first-start.txt").exists(), "no new key over an old store");

    let (status, said) =
        moved.run(&["recover"], &format!("{}\n", moved.code.to_lowercase().replace('-', " ")));
    assert!(status == 0 && said.contains(&moved.key().display().to_string()), "{status} {said}");
    assert!(!said.contains(&moved.code));
    assert_eq!(fs::metadata(moved.key()).expect("made").permissions().mode() & 0o777, 0o600);
    moved.check_whole();
    assert_ne!(fs::read(moved.key()).expect("read"), fs::read(store.key()).expect("read"));
    // The code stays good, the first store is as it was.
    fs::remove_file(moved.key()).expect("removed");
    let file = moved.path().join("code.txt");
    fs::write(&file, format!("user: x\n{CODE_LABEL}{}\n", moved.code)).expect("written");
    let (status, said) = moved.run(&["recover", "--code-file", &file.display().to_string()], "");
    assert_eq!(status, 0, "{said}");
    moved.check_whole();
    fs::remove_file(moved.key()).expect("removed");
    let (status, said) = moved.run(&["recover"], &format!("{CODE_LABEL}{}\n", moved.code));
    assert_eq!(status, 0, "{said}");
    fs::set_permissions(moved.key(), fs::Permissions::from_mode(0o644)).expect("set");
    moved.check_whole();
    let log = fs::read_to_string(moved.path().join("log.txt")).expect("a log");
    assert!(log.contains("chmod 600") && log.contains(&moved.key().display().to_string()), "{log}");
    store.check_whole();
}

#[test]
fn codes_that_do_not_open_the_store_change_nothing() {
    let (store, other) = (Filled::new(), Filled::new());
    let key = fs::read_to_string(store.key()).expect("read");
    let (status, said) = store.run(&["recover"], &store.code);
    assert!(status == 2 && said.contains("nothing to recover"), "{said}");
    fs::remove_file(store.key()).expect("removed");
    let mut mistyped = store.code.clone().into_bytes();
    mistyped[7] = if mistyped[7] == b'7' { b'8' } else { b'7' };
    let mistyped = String::from_utf8(mistyped).expect("letters");
    let cases = [
        (other.code.as_str(), "not the one of this store"),
        (&mistyped, "mistyped"),
        (&store.code[5..], "has 32 letters and digits, this has 28"),
        (&store.code.replace(&store.code[..1], "%"), "only letters"),
        ("", "this has 0"),
    ];
    for (code, part) in cases {
        let (status, said) = store.run(&["recover"], &format!("{code}\n"));
        assert!(status == 2 && said.contains(part), "{code}: {status} {said}");
        assert!(code.is_empty() || !said.contains(code), "{said}");
        assert!(!store.key().exists() && !store.data().join("secret.key.new").exists());
    }
    let (status, said) = store.run(&["recover", "--code-file", "/no/such/file"], "");
    assert!(status == 2 && said.contains("/no/such/file"), "{said}");
    let (status, said) = run(command(&["recover", "--data-dir", "/no/such/directory"]), &store.code);
    assert!(status == 2 && said.contains("/no/such/directory"), "{said}");
    fs::write(store.key(), key).expect("written");
    store.check_whole();
    let service = Service::start(store.path());
    let (status, said) = store.run(&["recover"], &store.code);
    assert!(status == 2 && said.contains("stop it first"), "{said}");
    service.stop();
}

#[test]
fn a_wrong_key_is_named_and_kept_when_recovering() {
    let (store, other) = (Filled::new(), Filled::new());
    let key = fs::read_to_string(store.key()).expect("read");
    fs::copy(other.key(), store.key()).expect("copied");
    let said = store.check_refused(&["does not belong to this store", &store.key().display().to_string()]);
    let fingerprints: Vec<&str> = said.split("fingerprint ").skip(1).map(|rest| &rest[..16]).collect();
    assert!(fingerprints.len() == 2 && fingerprints[0] != fingerprints[1], "{said}");
    let wanted = fingerprints[1].to_owned();
    for (content, part) in
        [(OTHER_KEY, "does not belong"), ("nonsense\n", "is not a key file"), ("", "is not a key file")]
    {
        fs::write(store.key(), content).expect("written");
        store.check_refused(&[part, &wanted, "connectord recover"]);
        assert_eq!(
            fs::read_to_string(store.key()).expect("read"),
            content,
            "a refused start changes nothing"
        );
    }
    fs::copy(other.key(), store.key()).expect("copied");
    let (status, said) = store.run(&["recover"], &store.code);
    let aside = store.data().join("secret.key.other-1");
    assert!(status == 0 && said.contains(&aside.display().to_string()), "{said}");
    assert_eq!(fs::read(aside).expect("kept"), fs::read(other.key()).expect("read"));
    store.check_whole();
    // The old key file, found again, is another one now.
    fs::write(store.key(), key).expect("written");
    store.check_refused(&["does not belong", &wanted]);
}

#[test]
fn a_store_without_a_recovery_code_says_so_and_gets_one() {
    let directory = TestDirectory::new();
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("created");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    for name in ["sled", "secret.key"] {
        copy(&kept.join(name), &data.join(name));
    }
    let service = Service::start(directory.path());
    assert!(
        service.log().contains("no recovery code") && service.log().contains("rotate-key"),
        "{}",
        service.log()
    );
    let contents = contents(&service);
    service.stop();
    let store = Filled { directory, contents, code: String::new() };
    let key = fs::read(store.key()).expect("read");
    fs::remove_file(store.key()).expect("removed");
    let said = store.check_refused(&["without a recovery code"]);
    assert!(!said.contains("connectord recover"), "{said}");
    let (status, said) = store.run(&["recover"], &"0".repeat(32));
    assert!(status == 2 && said.contains("without a recovery code"), "{said}");
    fs::write(store.key(), key).expect("written");
    let (status, said) = store.run(&["rotate-key"], "");
    assert_eq!(status, 0, "{said}");
    fs::remove_file(store.key()).expect("removed");
    let (status, said) = store.run(&["recover"], &shown_code(&said));
    assert_eq!(status, 0, "{said}");
    store.check_whole();
}

#[test]
fn nothing_in_plain_after_every_command_on_keys() {
    let store = Filled::new();
    let mut secrets = vec![store.code.clone(), store.code.replace('-', "")];
    secrets.extend(
        (0..8).flat_map(|number| ["secret", "proxy", "option"].map(|kind| format!("PLAIN-{kind}-{number}"))),
    );
    let key_text =
        || fs::read_to_string(store.key()).expect("read").trim().trim_start_matches("cdk1_").to_owned();
    secrets.push(key_text());
    let mut said_in_all = String::new();
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
        let (status, said) = store.run(arguments, "");
        assert_eq!(status, 0, "{said}");
        let code = shown_code(&said);
        said_in_all.push_str(&said.replace(&code, ""));
        secrets.extend([code.replace('-', ""), code, key_text()]);
    }
    fs::remove_file(store.key()).expect("removed");
    let code = secrets[secrets.len() - 2].clone();
    let (status, said) = store.run(&["recover"], &code);
    assert_eq!(status, 0, "{said}");
    said_in_all.push_str(&said);
    secrets.push(key_text());
    store.check_whole();
    fs::write(store.path().join("said.txt"), said_in_all).expect("written");
    let current = key_text();
    let found: Vec<String> = search(store.path(), &secrets)
        .into_iter()
        .filter(|line| *line != format!("{}: {current}", store.key().display()))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
