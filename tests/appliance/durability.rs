//! Nothing acknowledged is ever lost: crashes, power cuts, copies, damage, full and failing disks.
//!
//! The counts are short ones; with `CONNECTORD_TEST_FULL` set they are those that the project vouches for, and each
//! test prints a line that begins with `figure: `. `CONNECTORD_TEST_SEED` repeats a run's random choices.

mod connection;
mod copies;
mod damage;
mod disk_full;
mod history;
mod kills;
mod mixing;
mod power_cut;
mod process;
mod released_format;
mod sync_order;
pub mod workload;
