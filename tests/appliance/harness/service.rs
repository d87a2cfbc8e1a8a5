//! The service as a process: started on a free port in a temporary directory, stopped at the end of its test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::http::{Client, basic};

pub const PASSWORD: &str = "correct horse battery staple";
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A directory that goes with its test.
pub struct TestDirectory(PathBuf);

impl TestDirectory {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("connectord-test-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for reading: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub fn binary() -> PathBuf {
    std::env::var_os("CONNECTORD_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_connectord")), PathBuf::from)
}

/// A command of the binary with a clean environment of its own variables.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    clean_environment(&mut command);
    command
}

/// Takes out what the service would read or refuse: the settings of the tests themselves.
pub fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CONNECTORD_") || name == "NOTIFY_SOCKET" || name == "CREDENTIALS_DIRECTORY" {
            command.env_remove(name);
        }
    }
}

/// The address in the ready line of a service whose output is piped; `None` where it ends without one, or says none in
/// time.
pub fn ready_address(child: &mut Child) -> Option<String> {
    let output = child.stdout.take().expect("piped");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output);
        let mut line = String::new();
        let _ = lines.read_line(&mut line);
        let _ = sender.send(line);
        // Read on, so that the service never waits for a full pipe.
        let _ = lines.read_to_end(&mut Vec::new());
    });
    let line = receiver.recv_timeout(START_TIMEOUT).unwrap_or_default();
    let url = line.trim().strip_prefix("listening on ")?;
    url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).map(str::to_owned)
}

/// A running service.
pub struct Service {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl Service {
    /// Starts the service in the directory; the user `admin` has [`PASSWORD`].
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// Starts the service with more arguments.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Self {
        let password_file = directory.join("password");
        std::fs::write(&password_file, format!("{PASSWORD}\n")).expect("written");
        let password_file = password_file.display().to_string();
        let mut all = vec!["--admin-password-file", &password_file];
        all.extend(arguments);
        Self::start_plain(directory, &all)
    }

    /// Starts the service with settings such as `limits.body_bytes`, given by the environment.
    pub fn start_with_settings(directory: &Path, settings: &[(&str, &str)]) -> Self {
        let password_file = directory.join("password");
        std::fs::write(&password_file, format!("{PASSWORD}\n")).expect("written");
        let password_file = password_file.display().to_string();
        Self::start_command(directory, &["--admin-password-file", &password_file], |command| {
            for (key, value) in settings {
                command.env(format!("CONNECTORD_{}", key.replace('.', "_").to_uppercase()), value);
            }
        })
    }

    /// Starts the service with these arguments and a data directory alone. The log goes on in `log.txt`.
    pub fn start_plain(directory: &Path, arguments: &[&str]) -> Self {
        Self::start_command(directory, arguments, |_| {})
    }

    pub fn start_command(directory: &Path, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let data = directory.join("data").display().to_string();
        let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
        command.args(arguments);
        prepare(&mut command);
        Self::spawn(directory, command).unwrap_or_else(|log| panic!("the service did not start: {log}"))
    }

    /// Starts a command that runs the service, by whatever way. The error is what the log says.
    pub fn spawn(directory: &Path, mut command: Command) -> Result<Self, String> {
        let log = directory.join("log.txt");
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let mut child =
            command.stdout(Stdio::piped()).stderr(file).spawn().map_err(|error| error.to_string())?;
        let Some(address) = ready_address(&mut child) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(std::fs::read_to_string(log).unwrap_or_default());
        };
        Ok(Self { child, address, directory: directory.to_owned() })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// A client that signs in as `admin`.
    pub fn admin(&self) -> Client {
        Client::new(&self.address, Some(&basic("admin", PASSWORD)))
    }

    /// A client that sends an API key.
    pub fn with_key(&self, key: &str) -> Client {
        Client::new(&self.address, Some(&format!("Bearer {key}")))
    }

    /// Makes an API key with scopes like `cloud_connectors/show`.
    pub fn make_key(&self, scopes: &[&str]) -> String {
        let scopes: Vec<serde_json::Value> = scopes
            .iter()
            .map(|scope| scope.split_once('/').expect("controller/action"))
            .map(|(controller, action)| serde_json::json!({ "controller": controller, "action": action }))
            .collect();
        let body = serde_json::json!({ "name": "test", "api_key_scopes": scopes });
        let response = self.admin().post("/api/v2/users/me/api_keys", &body).expect_status(201);
        response.json()["key"].as_str().expect("a key").to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log.txt")).expect("a log")
    }

    /// Ends the service at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// Stops the service as a service manager does, and expects a clean end.
    pub fn stop(mut self) {
        let status = self.terminate();
        assert!(status.success(), "the service ended with {status}: {}", self.log());
    }

    /// Sends SIGTERM and waits.
    fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end of a service that was told to stop.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status;
            }
            assert!(started.elapsed() < STOP_TIMEOUT, "the service did not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the condition holds; fails after a time that only a broken service needs.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not come true");
        std::thread::sleep(Duration::from_millis(20));
    }
}
