//! What kind of file system the data is on: on a network one, a sync and a lock may mean less than they say. And what is
//! mounted where: no other file takes the place of one that is a mount.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
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

/// Whether something is mounted on the path itself, as containers do with single files. Where the system does not tell, it is
/// taken for none.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let (Ok(path), Ok(mounts)) = (fs::canonicalize(path), fs::read("/proc/self/mountinfo")) else {
        return false;
    };
    names_mount_point(&mounts, &path)
}

/// The fifth word of a line is where something is mounted (`proc_pid_mountinfo(5)`).
fn names_mount_point(mounts: &[u8], path: &Path) -> bool {
    let mut wanted = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            // What would end a word or a line is in octal.
            b' ' | b'\t' | b'\n' | b'\\' => wanted.extend(format!("\\{byte:03o}").bytes()),
            other => wanted.push(*other),
        }
    }
    let mut lines = mounts.split(|byte| *byte == b'\n');
    lines.any(|line| line.split(|byte| *byte == b' ').nth(4) == Some(&wanted[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_by_their_whole_name() {
        let mounts = b"22 1 0:21 / / rw - ext4 /dev/sda1 rw\n\
            30 22 0:25 /key /data/secret.key rw - ext4 /dev/sdb rw\n\
            31 22 0:25 /key /my\\040data\\134x/secret.key ro - ext4 /dev/sdb rw\n";
        for (path, expected) in [
            ("/", true),
            ("/data/secret.key", true),
            ("/my data\\x/secret.key", true),
            ("/key", false),
            ("/data", false),
            ("/data/secret.key.new", false),
            ("/my", false),
        ] {
            assert_eq!(names_mount_point(mounts, Path::new(path)), expected, "{path}");
        }
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(Path::new("/proc/self/status")));
        assert!(!is_mount_point(Path::new("/no/such/file")));
    }
}
