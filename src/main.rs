//! The program `connectord`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    connectord::cli::run()
}
