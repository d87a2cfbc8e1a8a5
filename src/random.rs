//! Random bytes from the operating system, and what is made of them.

/// Random bytes.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A random UUID (RFC 9562, version 4).
pub fn random_uuid() -> String {
    let mut bytes: [u8; 16] = random_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_form() {
        let uuid = random_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!((&uuid[14..15], uuid.matches('-').count()), ("4", 4));
        assert_ne!(uuid, random_uuid());
    }
}
