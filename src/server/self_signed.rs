//! A certificate of the service's own: made at the first start, renewed before it runs out or where a name changed.

use std::fs;
use std::net::IpAddr;
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

/// The certificate in these files; it is made anew where it is missing, damaged, not for all of these names, or near
/// its end.
///
/// # Errors
/// What the machine refused.
pub fn ensure(files: &CertificateFiles, names: &[String]) -> Result<Identity, String> {
    let reason = match Identity::read(files) {
        Ok(identity) => match flaw(&identity, names, made_at(files)) {
            None => return Ok(identity),
            Some(flaw) => flaw,
        },
        Err(_) if !files.certificate.exists() && !files.key.exists() => "there is none yet".to_owned(),
        Err(problem) => problem,
    };
    make(files, names)?;
    let identity = Identity::read(files)?;
    info!(
        path = %files.certificate.display(),
        reason,
        names = names.join(" "),
        "made a certificate that signs itself"
    );
    Ok(identity)
}

fn made_at(files: &CertificateFiles) -> Option<SystemTime> {
    fs::metadata(&files.certificate).and_then(|metadata| metadata.modified()).ok()
}

/// `localhost`, this machine's name, that name as mDNS has it, and the addresses.
pub fn names(listen: IpAddr) -> Vec<String> {
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
    let is_for = |name: &&String| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
    };
    let missing = names.iter().find(|name| !is_for(name))?;
    Some(format!("it is not for {missing}"))
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

    #[test]
    fn it_is_kept_until_something_is_wrong_with_it() {
        let directory = std::env::temp_dir().join(format!("connectord-self-signed-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("created");
        let files = CertificateFiles { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        let names = names("192.0.2.7".parse().expect("an address"));
        assert!(
            names.contains(&"localhost".to_owned()) && names.contains(&"192.0.2.7".to_owned()),
            "{names:?}"
        );
        let ensure = |names: &[String]| ensure(&files, names).expect("made").fingerprint();
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
        let ensure = |names: &[String]| ensure(&files, names).expect("made").fingerprint();
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
