//! The names of the options that a mount with s3fs takes: its own, those of FUSE, of mount and of fstab.
//!
//! From the manual pages s3fs(1) of Debian 12 (1.90) and of upstream up to 1.95, its option parser `my_fuse_opt_proc`
//! (with the old names that it still takes), mount.fuse3(8), mount(8), fstab(5) and systemd.mount(5).

use crate::domain::nearest::nearest;

/// Options that change how requests are sent or signed in a way that a test does not: it uses the connector's own keys,
/// signature version 4 and its own TLS settings.
pub const NOT_HONOURED: &[&str] = &[
    "ahbe_conf",
    "cipher_suites",
    "credlib",
    "credlib_opts",
    "ecs",
    "iam_role",
    "ibm_iam_auth",
    "ibm_iam_endpoint",
    "imdsv1only",
    "ipresolve",
    "passwd_file",
    "profile",
    "proxy_cred_file",
    "public_bucket",
    "requester_pays",
    "servicepath",
    "sigv2",
    "ssl_client_cert",
    "use_session_token",
];

/// The other options of s3fs: those that a test uses, and those that only concern the mount.
const S3FS: &[&str] = &[
    "bucket",
    "bucket_size",
    "check_cache_dir_exist",
    "compat_dir",
    "complement_stat",
    "connect_timeout",
    "curldbg",
    "dbglevel",
    "default_acl",
    "del_cache",
    "disable_noobj_cache",
    "enable_content_md5",
    "enable_noobj_cache",
    "enable_unsigned_payload",
    "endpoint",
    "ensure_diskfree",
    "fake_diskfree",
    "fd_page_size",
    "free_space_ratio",
    "host",
    "instance_name",
    "list_object_max_keys",
    "listobjectsv2",
    "load_sse_c",
    "logfile",
    "max_dirty_data",
    "max_stat_cache_size",
    "max_thread_count",
    "mime",
    "mp_umask",
    "multipart_copy_size",
    "multipart_size",
    "multipart_threshold",
    "multireq_max",
    "no_check_certificate",
    "no_time_stamp_msg",
    "nocopyapi",
    "nodnscache",
    "nomixupload",
    "nomultipart",
    "norenameapi",
    "nosscache",
    "notsup_compat_dir",
    "noua",
    "noxmlns",
    "parallel_count",
    "parallel_upload",
    "proxy",
    "readwrite_timeout",
    "region",
    "retries",
    "set_check_cache_sigusr1",
    "sigv4",
    "singlepart_copy_limit",
    "ssl_verify_hostname",
    "stat_cache_expire",
    "stat_cache_interval_expire",
    "storage_class",
    "streamupload",
    "tmpdir",
    "update_parent_dir_stat",
    "url",
    "use_cache",
    "use_path_request_style",
    "use_rrs",
    "use_sse",
    "use_wtf8",
    "use_xattr",
];

/// Options of FUSE, both of the kernel's and of libfuse 2 and 3.
const FUSE: &[&str] = &[
    "ac_attr_timeout",
    "allow_other",
    "allow_root",
    "async_read",
    "atomic_o_trunc",
    "attr_timeout",
    "auto_cache",
    "auto_unmount",
    "big_writes",
    "blkdev",
    "blksize",
    "clone_fd",
    "congestion_threshold",
    "debug",
    "default_permissions",
    "direct_io",
    "drop_privileges",
    "entry_timeout",
    "fd",
    "from_code",
    "fsname",
    "gid",
    "group_id",
    "hard_remove",
    "intr",
    "intr_signal",
    "kernel_cache",
    "large_read",
    "max_background",
    "max_idle_threads",
    "max_read",
    "max_readahead",
    "max_threads",
    "max_write",
    "modules",
    "negative_timeout",
    "no_remote_flock",
    "no_remote_lock",
    "no_remote_posix_lock",
    "no_splice_move",
    "no_splice_read",
    "no_splice_write",
    "noauto_cache",
    "noforget",
    "nonempty",
    "nopath",
    "norellinks",
    "readdir_ino",
    "rellinks",
    "remember",
    "rootmode",
    "setuid",
    "splice_move",
    "splice_read",
    "splice_write",
    "subdir",
    "subtype",
    "sync_read",
    "to_code",
    "uid",
    "umask",
    "use_ino",
    "user_id",
];

/// Options of mount and fstab, for any file system.
const MOUNT: &[&str] = &[
    "_netdev",
    "async",
    "atime",
    "auto",
    "comment",
    "context",
    "defaults",
    "defcontext",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "fscontext",
    "group",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "noauto",
    "nodev",
    "nodiratime",
    "noexec",
    "nofail",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "nouser",
    "owner",
    "relatime",
    "remount",
    "ro",
    "rootcontext",
    "rw",
    "silent",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "user",
    "users",
];

/// Whether a mount takes an option of this name. Upper and lower case differ, as they do for s3fs.
pub fn is_known(name: &str) -> bool {
    // mount(8): whatever begins so is for other programs, such as x-systemd.automount, and never reaches s3fs.
    let is_for_others = name.starts_with("x-") || name.starts_with("X-");
    is_for_others || all().any(|known| known == name)
}

/// The known name that an unknown one may be a mistyped form of.
pub fn nearest_to(name: &str) -> Option<&'static str> {
    nearest(name, all())
}

fn all() -> impl Iterator<Item = &'static str> {
    [NOT_HONOURED, S3FS, FUSE, MOUNT].into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_in_order() {
        for table in [NOT_HONOURED, S3FS, FUSE, MOUNT] {
            assert!(table.is_sorted(), "{table:?}");
        }
        let mut names: Vec<&str> = all().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_are_known() {
        let known =
            ["url", "uid", "ro", "_netdev", "nofail", "x-systemd.automount", "X-mount.mkdir", "sigv2"];
        for name in known {
            assert!(is_known(name), "{name}");
        }
        for name in ["", "URL", "text", "secretAccessKey", "use-cache"] {
            assert!(!is_known(name), "{name}");
        }
        assert_eq!(nearest_to("use_path_requests_style"), Some("use_path_request_style"));
        assert_eq!(nearest_to("use-cache"), Some("use_cache"));
        assert_eq!(nearest_to("text"), None);
    }
}
