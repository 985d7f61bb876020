//! Tokens verified lately: who shows one again is spared its mac and its decoding, never its dates.
//!
//! Only a token whose mac was right is noted, whole, under keys that never change; and it is compared in constant time.
//! What is told by how long a look takes is whether a token was shown lately, not what any token is.

use std::rc::Rc;

use subtle::ConstantTimeEq as _;

use super::Token;

/// A power of two: a token's place is the low bits of its mac's text, where no two differ for a reason.
const PLACES: usize = 512;

struct Noted {
    text: Box<str>,
    token: Rc<Token>,
}

/// One place for each hash; the later token takes it.
pub struct Memo {
    places: Vec<Option<Noted>>,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| None).collect(),
        }
    }
}

/// From the last characters of the mac, which are as random as it is; the very last holds two bits less.
fn place(text: &str) -> Option<usize> {
    let tail: [u8; 4] = *text.as_bytes().last_chunk()?;
    let mixed = u32::from_le_bytes(tail).wrapping_mul(0x9e37_79b1);
    Some((mixed >> 16) as usize % PLACES)
}

impl Memo {
    /// What a token says, if this very text was verified before.
    pub fn get(&self, text: &str) -> Option<Rc<Token>> {
        let noted = self.places[place(text)?].as_ref()?;
        same(&noted.text, text).then(|| Rc::clone(&noted.token))
    }

    /// Notes a token whose mac was right.
    pub fn put(&mut self, text: &str, token: &Rc<Token>) {
        if let Some(place) = place(text) {
            self.places[place] = Some(Noted {
                text: text.into(),
                token: Rc::clone(token),
            });
        }
    }
}

/// In constant time for texts of one length, sixteen bytes at once.
fn same(a: &str, b: &str) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (a, a_rest) = a.as_bytes().as_chunks::<16>();
    let (b, b_rest) = b.as_bytes().as_chunks::<16>();
    let whole = a.iter().zip(b).fold(0, |differs, (a, b)| {
        differs | (u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b))
    });
    let whole = (whole >> 64) as u64 | whole as u64;
    (whole.ct_eq(&0) & a_rest.ct_eq(b_rest)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Generation;
    use crate::token::SessionId;

    fn token(id: u8) -> Rc<Token> {
        let generation = Generation {
            counter: 1,
            raised_at: 0,
        };
        let id = SessionId([id; 16]);
        Rc::new(Token {
            id,
            generation,
            issued_at: 0,
            not_before: 0,
            expires_at: 1,
            subject: None,
            data: Vec::new(),
        })
    }

    #[test]
    fn only_the_very_text_that_was_noted_is_known() {
        let text = format!("ts1.key.{}.{}", "p".repeat(51), "m".repeat(43));
        let mut memo = Memo::default();
        assert!(memo.get(&text).is_none());
        memo.put(&text, &token(1));
        assert_eq!(memo.get(&text).unwrap().id, SessionId([1; 16]));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert!(memo.get(core::str::from_utf8(&other).unwrap()).is_none(), "{at}");
        }
        for other in [
            &text[1..],
            &text[..text.len() - 1],
            "",
            "abc",
            &format!("{text}m"),
        ] {
            assert!(memo.get(other).is_none());
        }
    }
}
