//! A certificate of the service's own: made at the first start, renewed before it runs out or where a name changed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tracing::info;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use zeroize::Zeroizing;

use crate::server::tls::{CertificateFiles, Identity};
use crate::store::write_private_file;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Browsers of Apple take no more than 825 days.
const VALID_DAYS: u32 = 730;
/// Before that many days are left, another one is made.
const RENEW_DAYS: u32 = 30;

/// What a certificate is to be for.
#[derive(Debug, Clone)]
pub struct Names {
    /// One that is not for all of these is made anew.
    needed: Vec<String>,
    /// The machine's address in its network. The network may give out another one any day, and clients have come to know
    /// the certificate: that alone is no reason for a new one.
    address: Option<String>,
}

/// The certificate in these files; it is made anew where it is missing, damaged, not for all of the names that are needed,
/// or near its end.
///
/// # Errors
/// What the machine refused.
pub fn ensure(files: &CertificateFiles, names: &Names) -> Result<Identity, String> {
    let reason = match Identity::read(files) {
        Ok(identity) => match flaw(&identity, &names.needed, made_at(files)) {
            None => return Ok(identity),
            Some(flaw) => flaw,
        },
        Err(_) if !files.certificate.exists() && !files.key.exists() => "there is none yet".to_owned(),
        Err(problem) => problem,
    };
    make(files, &names.all())?;
    let identity = Identity::read(files)?;
    info!(path = %files.certificate.display(), reason, "made a certificate that signs itself");
    Ok(identity)
}

fn made_at(files: &CertificateFiles) -> Option<SystemTime> {
    fs::metadata(&files.certificate).and_then(|metadata| metadata.modified()).ok()
}

impl Names {
    /// Of this machine; the address is that which is listened on, or where all are, the one that others know it by.
    pub fn of_this_machine(listen: IpAddr) -> Self {
        let address = if listen.is_unspecified() { own_address() } else { None };
        Self { needed: needed_names(listen), address: address.map(|address| address.to_string()) }
    }

    fn all(&self) -> Vec<String> {
        self.needed.iter().chain(&self.address).cloned().collect()
    }

    /// Those that a certificate is for.
    pub fn covered_by(&self, identity: &Identity) -> Vec<String> {
        let Ok(certificate) = EndEntityCert::try_from(identity.certificate()) else { return Vec::new() };
        let mut names = self.all();
        names.retain(|name| is_for(&certificate, name));
        names
    }

    /// The machine's address, where the certificate is not for it.
    pub fn missed_address(&self, identity: &Identity) -> Option<&str> {
        let address = self.address.as_deref()?;
        (!self.covered_by(identity).iter().any(|name| name == address)).then_some(address)
    }
}

/// The address from which this machine would ask something outside: that of its own network, and none of containers.
/// IPv6 has many, which come and go. A datagram socket sends nothing when it is connected.
fn own_address() -> Option<IpAddr> {
    /// Of the documentation (RFC 5737): nobody has it, so that the way there is the one to everywhere.
    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const DISCARD_PORT: u16 = 9;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((OUTSIDE, DISCARD_PORT)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// `localhost`, this machine's name, that name as mDNS has it, and the address.
fn needed_names(listen: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let machine = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let is_name = |name: &str| {
        name.parse::<IpAddr>().is_err() && ServerName::try_from(name).is_ok_and(|_| !name.contains('_'))
    };
    let label = machine.split('.').next().unwrap_or_default();
    for name in [machine.clone(), label.to_owned(), format!("{label}.local")] {
        if is_name(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    if !listen.is_unspecified() && !names.contains(&listen.to_string()) {
        names.push(listen.to_string());
    }
    names
}

/// Why a certificate has to be made anew.
fn flaw(identity: &Identity, names: &[String], made_at: Option<SystemTime>) -> Option<String> {
    let unreadable = || Some("it cannot be read".to_owned());
    let Ok(certificate) = EndEntityCert::try_from(identity.certificate()) else { return unreadable() };
    let Ok(anchor) = anchor_from_trusted_cert(identity.certificate()) else { return unreadable() };
    let is_valid_at = |moment: UnixTime| {
        let algorithms = ring::default_provider().signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        let anchor = std::slice::from_ref(&anchor);
        certificate.verify_for_usage(algorithms, anchor, &[], moment, usage, None, None).is_ok()
    };
    // A clock that stands before the file was made is wrong, as on a box without a battery before the network sets it: that
    // is no reason to give up a certificate that clients have come to know.
    let now = SystemTime::now();
    let later = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + DAY * RENEW_DAYS;
    let is_clock_right = made_at.is_none_or(|made_at| made_at <= now);
    if is_clock_right && !is_valid_at(UnixTime::since_unix_epoch(later)) {
        return Some(format!("it is valid for less than {RENEW_DAYS} days"));
    }
    let missing = names.iter().find(|name| !is_for(&certificate, name))?;
    Some(format!("it is not for {missing}"))
}

fn is_for(certificate: &EndEntityCert<'_>, name: &str) -> bool {
    ServerName::try_from(name).is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

fn make(files: &CertificateFiles, names: &[String]) -> Result<(), String> {
    let failed = |error: rcgen::Error| format!("a certificate could not be made: {error}");
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    let mut subject = DistinguishedName::new();
    // Chrome and Firefox show it; the names that count are the alternative ones.
    subject.push(DnType::CommonName, "connectord");
    parameters.distinguished_name = subject;
    parameters.not_before = OffsetDateTime::now_utc() - DAY;
    parameters.not_after = OffsetDateTime::now_utc() + DAY * VALID_DAYS;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    let key_text = Zeroizing::new(key.serialize_pem());
    // A crash in between leaves two that do not belong together: the next start makes both anew.
    for (path, text) in [(&files.key, key_text.as_str()), (&files.certificate, certificate.pem().as_str())] {
        write_private_file(path, text.as_bytes())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn ensure_needed(files: &CertificateFiles, needed: &[String]) -> String {
        let names = Names { needed: needed.to_vec(), address: None };
        ensure(files, &names).expect("made").fingerprint()
    }

    #[test]
    fn it_is_for_the_machines_address_and_outlives_it() {
        let directory = std::env::temp_dir().join(format!("connectord-address-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("created");
        let files = CertificateFiles { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        let names_with = |address: Option<&str>| Names {
            needed: vec!["localhost".to_owned()],
            address: address.map(str::to_owned),
        };
        let first = ensure(&files, &names_with(Some("192.168.7.8"))).expect("made");
        assert_eq!(names_with(Some("192.168.7.8")).covered_by(&first), ["localhost", "192.168.7.8"]);
        assert_eq!(names_with(Some("192.168.7.8")).missed_address(&first), None);
        for (address, missed) in [(None, None), (Some("192.168.7.9"), Some("192.168.7.9"))] {
            let names = names_with(address);
            let again = ensure(&files, &names).expect("read");
            assert_eq!(again.fingerprint(), first.fingerprint());
            assert_eq!(
                (names.covered_by(&again), names.missed_address(&again)),
                (vec!["localhost".to_owned()], missed)
            );
        }
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn where_all_addresses_are_listened_on_the_machines_own_is_looked_for() {
        let of = |listen: &str| Names::of_this_machine(listen.parse().expect("an address"));
        let everywhere = of("0.0.0.0");
        assert_eq!(everywhere.address, own_address().map(|address| address.to_string()));
        assert!(!everywhere.needed.contains(&"0.0.0.0".to_owned()));
        assert_eq!(of("::").address, everywhere.address);
        let one = of("192.0.2.7");
        assert!(one.address.is_none() && one.needed.contains(&"192.0.2.7".to_owned()));
    }

    #[test]
    fn it_is_kept_until_something_is_wrong_with_it() {
        let directory = std::env::temp_dir().join(format!("connectord-self-signed-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("created");
        let files = CertificateFiles { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        let names = needed_names("192.0.2.7".parse().expect("an address"));
        assert!(
            names.contains(&"localhost".to_owned()) && names.contains(&"192.0.2.7".to_owned()),
            "{names:?}"
        );
        let ensure = |names: &[String]| ensure_needed(&files, names);
        let first = ensure(&names);
        assert_eq!(ensure(&names), first);
        assert_eq!(fs::metadata(&files.key).expect("metadata").permissions().mode() & 0o777, 0o600);

        let mut more = names.clone();
        more.push("nas.example.com".to_owned());
        let second = ensure(&more);
        assert_ne!(second, first);
        assert_eq!(ensure(&names), second, "one for more names is fine");

        fs::write(&files.certificate, "damaged").expect("written");
        let third = ensure(&names);
        assert_ne!(third, second);
        let key = fs::read(&files.key).expect("read");
        fs::remove_file(&files.key).expect("removed");
        let fourth = ensure(&names);
        fs::write(&files.key, key).expect("written");
        assert_ne!(ensure(&names), fourth, "a key of another certificate");
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn a_clock_that_is_behind_gives_up_none() {
        let directory = std::env::temp_dir().join(format!("connectord-clock-behind-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("created");
        let files = CertificateFiles { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        let names = ["localhost".to_owned()];
        // Made in a year: as a clock sees it that lost its battery.
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(&names[..]).expect("parameters");
        parameters.not_before = OffsetDateTime::now_utc() + DAY * 364;
        parameters.not_after = OffsetDateTime::now_utc() + DAY * 1000;
        fs::write(&files.certificate, parameters.self_signed(&key).expect("signed").pem()).expect("written");
        fs::write(&files.key, key.serialize_pem()).expect("written");
        let made = Identity::read(&files).expect("read").fingerprint();
        let set_made_at = |made_at: SystemTime| {
            let file = fs::File::options().append(true).open(&files.certificate).expect("opened");
            file.set_modified(made_at).expect("set");
        };
        let ensure = |names: &[String]| ensure_needed(&files, names);
        set_made_at(SystemTime::now() + DAY * 365);
        assert_eq!(ensure(&names), made);
        // A clock that is right, and a certificate that is not.
        set_made_at(SystemTime::now() - DAY);
        assert_ne!(ensure(&names), made);
        // What else is wrong with it counts whatever the clock says.
        set_made_at(SystemTime::now() + DAY * 365);
        let before = Identity::read(&files).expect("read").fingerprint();
        assert_eq!(ensure(&names), before);
        assert_ne!(ensure(&["nas.example.com".to_owned()]), before);
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn one_near_its_end_is_flawed() {
        let directory = std::env::temp_dir().join(format!("connectord-near-end-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("created");
        let files = CertificateFiles { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        for (days, is_flawed) in [(29, true), (31, false)] {
            let key = KeyPair::generate().expect("a key");
            let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
            parameters.not_before = OffsetDateTime::now_utc() - DAY;
            parameters.not_after = OffsetDateTime::now_utc() + DAY * days;
            fs::write(&files.certificate, parameters.self_signed(&key).expect("signed").pem())
                .expect("written");
            fs::write(&files.key, key.serialize_pem()).expect("written");
            let identity = Identity::read(&files).expect("read");
            assert_eq!(flaw(&identity, &["localhost".to_owned()], None).is_some(), is_flawed, "{days}");
        }
        fs::remove_dir_all(&directory).expect("removed");
    }
}
