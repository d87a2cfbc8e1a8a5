//! The recovery code: 128 random bits and a checksum, as 32 letters and digits in groups, to be written down.
//!
//! The alphabet is Crockford's base 32 (<https://www.crockford.com/base32.html>): it has no I, L, O and U, and whoever
//! reads a 0 as an O, or a 1 as an I or L, is understood all the same.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// Random bytes in a code: as hard to guess as a 128-bit key, so that no slow hashing is needed.
pub const CODE_RANDOM_BYTES: usize = 16;
/// A mistyped code is taken for a whole one once in 2^32 times.
const CHECK_BYTES: usize = 4;
const CHARACTERS: usize = (CODE_RANDOM_BYTES + CHECK_BYTES) * 8 / 5;
const GROUP_CHARACTERS: usize = 4;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A second way to the data key, for the day when the key file is lost.
pub struct RecoveryCode(Zeroizing<[u8; CODE_RANDOM_BYTES]>);

/// Why a text is no recovery code. What was typed is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryCodeError {
    /// It has another number of letters and digits.
    Length(usize),
    /// It has a character that no code has.
    Character,
    /// Its checksum is wrong.
    Mistyped,
}

impl RecoveryCode {
    /// Makes a code of random bytes.
    pub fn from_random(bytes: [u8; CODE_RANDOM_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What the code's key is derived from.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The form for people: groups of four, with hyphens.
    pub fn to_text(&self) -> Secret {
        let mut bytes = Zeroizing::new([0; CODE_RANDOM_BYTES + CHECK_BYTES]);
        bytes[..CODE_RANDOM_BYTES].copy_from_slice(self.bytes());
        bytes[CODE_RANDOM_BYTES..].copy_from_slice(&check_bytes(self.bytes()));
        let mut text = String::with_capacity(CHARACTERS + CHARACTERS / GROUP_CHARACTERS);
        for position in 0..CHARACTERS {
            if position > 0 && position % GROUP_CHARACTERS == 0 {
                text.push('-');
            }
            let bits = (0..5).fold(0, |bits, bit| bits << 1 | bit_at(bytes.as_slice(), position * 5 + bit));
            text.push(char::from(ALPHABET[usize::from(bits)]));
        }
        Secret::new(text)
    }

    /// Reads what somebody typed: case, spaces and hyphens do not matter.
    ///
    /// # Errors
    /// Tells a mistyped code from one that is whole.
    pub fn parse(text: &str) -> Result<Self, RecoveryCodeError> {
        let typed = || text.chars().filter(|character| *character != '-' && !character.is_whitespace());
        let count = typed().count();
        if count != CHARACTERS {
            return Err(RecoveryCodeError::Length(count));
        }
        let mut bytes = Zeroizing::new([0_u8; CODE_RANDOM_BYTES + CHECK_BYTES]);
        for (position, character) in typed().enumerate() {
            let value = value_of(character).ok_or(RecoveryCodeError::Character)?;
            for bit in (0..5).filter(|bit| value & (16 >> bit) != 0) {
                let at = position * 5 + bit;
                bytes[at / 8] |= 128 >> (at % 8);
            }
        }
        let (random, check) =
            bytes.split_first_chunk::<CODE_RANDOM_BYTES>().expect("the array is longer than its beginning");
        if check_bytes(random) != check {
            return Err(RecoveryCodeError::Mistyped);
        }
        Ok(Self::from_random(*random))
    }
}

impl RecoveryCodeError {
    /// What is wrong and what to do, as a sentence.
    pub fn advice(self) -> String {
        match self {
            Self::Length(count) => {
                format!("a recovery code has {CHARACTERS} letters and digits, this has {count}")
            }
            Self::Character => "a recovery code has only letters (no I, L, O, U) and digits".to_owned(),
            Self::Mistyped => {
                "the recovery code is mistyped: its check letters do not agree with the rest. Compare each group with your note"
                    .to_owned()
            }
        }
    }
}

fn bit_at(bytes: &[u8], at: usize) -> u8 {
    bytes[at / 8] >> (7 - at % 8) & 1
}

fn check_bytes(random: &[u8]) -> [u8; CHECK_BYTES] {
    let digest =
        Sha256::new().chain_update("connectord recovery code checksum").chain_update(random).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

fn value_of(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|letter| char::from(*letter) == upper).and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> RecoveryCode {
        RecoveryCode::from_random([0xab, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xfe])
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), RecoveryCodeError>) {
        let actual =
            RecoveryCode::parse(text).map(|parsed| assert_eq!(parsed.bytes(), code().bytes(), "{text}"));
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let text = code().to_text().expose().to_owned();
        assert!(text.len() == 39 && text.split('-').all(|group| group.len() == 4), "{text}");
        assert!(!text.contains(['I', 'L', 'O', 'U']) && text.contains('0') && text.contains('1'), "{text}");
        check(&text, Ok(()));
        check(&format!(" {}\n", text.to_lowercase().replace('-', " ")), Ok(()));
        check(&text.replace('-', "").replace('0', "o").replace('1', "L"), Ok(()));
        check(&text.replace('1', "i"), Ok(()));
        check(&text[1..], Err(RecoveryCodeError::Length(31)));
        check("", Err(RecoveryCodeError::Length(0)));
        check(&text.replacen('0', "u", 1), Err(RecoveryCodeError::Character));
        check(&text.replacen('0', "\u{e9}", 1), Err(RecoveryCodeError::Character));
        assert!(!RecoveryCodeError::Mistyped.advice().contains(&text[..4]));
    }

    #[test]
    fn every_mistyped_letter_and_every_swap_of_neighbours_is_noticed() {
        let text = code().to_text().expose().replace('-', "");
        for position in 0..CHARACTERS {
            for letter in ALPHABET {
                let mut typed = text.clone().into_bytes();
                typed[position] = *letter;
                let typed = String::from_utf8(typed).expect("letters");
                check(&typed, if typed == text { Ok(()) } else { Err(RecoveryCodeError::Mistyped) });
            }
            let mut typed = text.clone().into_bytes();
            if position + 1 < CHARACTERS {
                typed.swap(position, position + 1);
            }
            let typed = String::from_utf8(typed).expect("letters");
            check(&typed, if typed == text { Ok(()) } else { Err(RecoveryCodeError::Mistyped) });
        }
    }
}
