//! What kind of file system the data is on: on a network one, a sync and a lock may mean less than they say.

use std::path::Path;

/// Magic numbers of network file systems, from `statfs(2)` and the kernel's `magic.h`.
const NETWORK: [(u32, &str); 8] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x5346_414f, "AFS"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "CephFS"),
    (0x6573_5546, "FUSE (such as sshfs)"),
];

/// The name of the network file system that the path is on, if it is on one.
pub(crate) fn network_file_system(path: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(path).ok()?.f_type as u32;
    NETWORK.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}
