//! Starts that may be refused, file systems of a test's own, and what is called from outside.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::harness::http::Client;
use crate::harness::service::{command, ready_address, wait_until};

/// How a start went.
pub enum Start {
    Serving(Process),
    /// The exit status and what was said on standard error.
    Refused(ExitStatus, String),
}

/// A service whose start could have been refused.
pub struct Process {
    child: Child,
    address: String,
    log: PathBuf,
}

/// Starts the service in a directory that has its first start behind it. What it says goes to a log of its own.
pub fn start(directory: &Path, variables: &[(&str, &str)]) -> Start {
    let log = directory.join("start.txt");
    let data = directory.join("data").display().to_string();
    let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(File::create(&log).expect("a log"));
    let mut child = command.spawn().expect("the binary starts");
    let address = ready_address(&mut child);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    if let Some(address) = address {
        return Start::Serving(Process { child, address, log });
    }
    let mut status = None;
    wait_until("the end of a start that was refused", || {
        status = child.try_wait().expect("waited");
        status.is_some()
    });
    Start::Refused(status.expect("it ended"), said())
}

impl Start {
    /// Expects a refusal with this exit status that says all of this.
    #[track_caller]
    pub fn expect_refusal(self, status: i32, parts: &[&str]) -> String {
        match self {
            Start::Serving(process) => panic!("it serves: {}", process.log()),
            Start::Refused(actual, said) => {
                assert_eq!(actual.code(), Some(status), "{said}");
                for part in parts {
                    assert!(said.contains(part), "{part:?} is not in: {said}");
                }
                said
            }
        }
    }

    #[track_caller]
    pub fn expect_serving(self) -> Process {
        match self {
            Start::Serving(process) => process,
            Start::Refused(status, said) => panic!("refused with {status}: {said}"),
        }
    }
}

impl Process {
    pub fn with_key(&self, key: &str) -> Client {
        Client::new(&self.address, Some(&format!("Bearer {key}")))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program from outside; the error says what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A path as a program's argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// An ext4 file system in a file, mounted until it is dropped.
pub struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// Makes the file with so many MiB and mounts it. The error is a reason to skip a test.
    pub fn new_file_system(image: &Path, mebibytes: u64, point: &Path) -> Result<Self, String> {
        let file = File::create(image).expect("an image");
        file.set_len(mebibytes * 1024 * 1024).expect("room for an image");
        run("mkfs.ext4", &["-q", "-m", "0", &text(image)])?;
        Self::mount(image, point)
    }

    pub fn mount(image: &Path, point: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(point).expect("a mount point");
        run("mount", &["-o", "loop", &text(image), &text(point)])?;
        Ok(Self { point: point.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("umount", &[&text(&self.point)]).is_err() {
            let _ = run("umount", &["--lazy", &text(&self.point)]);
        }
    }
}
