//! argon2id, in memory that goes back to the system after every hash.

use argon2::password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

use crate::domain::secret::Secret;
use crate::random::random_bytes;

/// argon2id with 19 MiB, two passes and one lane: OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const HASH_BYTES: usize = 32;
/// Verified against when there is no such user, so that it takes as long. No password is known for it.
pub const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// What is asked of the system for one hash; what is not used takes no memory. glibc keeps freed pieces of up to 32 MiB,
/// for each thread (`M_MMAP_THRESHOLD` in mallopt(3)): under a flood that came to hundreds of MiB.
const CAPACITY_BYTES: usize = 33 * 1024 * 1024;

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_BYTES)).expect("the parameters are in argon2's range")
}

fn compute(argon2: &Argon2<'_>, secret: &Secret, salt: &[u8], bytes: usize) -> Option<Output> {
    let blocks = argon2.params().block_count();
    let mut memory = Vec::with_capacity(blocks.max(CAPACITY_BYTES / Block::SIZE));
    memory.resize(blocks, Block::default());
    let secret = secret.expose().as_bytes();
    let hash = |out: &mut [u8]| Ok(argon2.hash_password_into_with_memory(secret, salt, out, &mut memory)?);
    Output::init_with(bytes, hash).ok()
}

/// Whether the secret is the one that was hashed.
pub fn matches(hash: &Secret, secret: &Secret) -> bool {
    compute_anew(hash, secret).is_some_and(|(stored, computed)| {
        // Takes the same time wherever they differ.
        stored == computed
    })
}

fn compute_anew(hash: &Secret, secret: &Secret) -> Option<(Output, Output)> {
    let stored = PasswordHash::new(hash.expose()).ok()?;
    let algorithm = Algorithm::try_from(stored.algorithm).ok()?;
    let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from).ok()?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&stored).ok()?);
    let mut salt = [0; Salt::MAX_LENGTH];
    let salt = stored.salt?.decode_b64(&mut salt).ok()?;
    let output = stored.hash?;
    Some((output, compute(&argon2, secret, salt, output.len())?))
}

/// argon2id in PHC form, with a random salt. Takes about 20 ms and 19 MiB.
pub fn hash(secret: &Secret) -> Secret {
    let salt_bytes = random_bytes::<16>();
    let salt = SaltString::encode_b64(&salt_bytes).expect("16 bytes are a salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).expect("the parameters have a text form"),
        salt: Some(salt.as_salt()),
        hash: Some(compute(&argon2, secret, &salt_bytes, HASH_BYTES).expect("any text can be hashed")),
    };
    Secret::new(hash.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    #[test]
    fn hashes_are_those_of_argon2_itself() {
        let (secret, other) = (Secret::new("a password".to_owned()), Secret::new("b password".to_owned()));
        let own = hash(&secret);
        assert!(own.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(matches(&own, &secret) && !matches(&own, &other));
        let parsed = PasswordHash::new(own.expose()).expect("well formed");
        assert!(Argon2::default().verify_password(b"a password", &parsed).is_ok());
        let salt = SaltString::encode_b64(&[7; 16]).expect("a salt");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
        let theirs = argon2.hash_password(b"a password", &salt).expect("hashed").to_string();
        assert_eq!(theirs.len(), own.expose().len());
        let theirs = Secret::new(theirs);
        assert!(matches(&theirs, &secret) && !matches(&theirs, &other));
        for malformed in
            ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbC4uLg", "$bcrypt$AAAAAAAA$AAAA"]
        {
            assert!(!matches(&Secret::new(malformed.to_owned()), &secret));
        }
    }

    #[test]
    fn nobodys_hash_costs_the_same() {
        // It has to be well formed, or it would be refused at once.
        let nobodys = Secret::new(NOBODYS_HASH.to_owned());
        assert!(compute_anew(&nobodys, &nobodys).is_some_and(|(stored, computed)| stored != computed));
        let own = hash(&nobodys);
        let shape = |hash: &PasswordHash<'_>| {
            let lengths = (hash.salt.map(|salt| salt.len()), hash.hash.map(|hash| hash.len()));
            format!("{} {:?} {} {lengths:?}", hash.algorithm, hash.version, hash.params)
        };
        let [nobodys, own] =
            [&nobodys, &own].map(|hash| PasswordHash::new(hash.expose()).expect("well formed"));
        assert_eq!(shape(&nobodys), shape(&own));
    }
}
