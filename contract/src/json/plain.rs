//! Comparisons of eight bytes at a time, for bytes of strings that need no escape and for expected texts.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Returns the number of leading bytes that need no escape: neither a quote, a backslash nor a control character.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    while let Some(word) = bytes[run..].first_chunk() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return run + found.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    run + bytes[run..].iter().take_while(|byte| !is_special(byte)).count()
}

/// Whether a text begins with these bytes.
pub(super) fn begins_with(text: &[u8], bytes: &[u8]) -> bool {
    let Some(text) = text.get(..bytes.len()) else {
        return false;
    };
    let ((found, rest), (words, last)) = (text.as_chunks::<8>(), bytes.as_chunks::<8>());
    let number = |word: &[u8; 8]| u64::from_le_bytes(*word);
    found.iter().map(number).eq(words.iter().map(number)) && rest.iter().eq(last)
}

/// Sets the highest bit of the first byte of eight that needs an escape. Later bytes may be marked wrongly.
fn special(word: u64) -> u64 {
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    equal(b'"') | equal(b'\\') | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_with_bytes_if_every_one_of_them_is_there() {
        let text = b"0123456789abcdefghijk";
        for length in 0..=text.len() {
            assert!(begins_with(text, &text[..length]) && begins_with(&text[..length], &text[..length]));
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 1;
                assert!(!begins_with(text, &other), "{at} of {length}");
                assert!(!begins_with(&text[..at], &text[..length]));
            }
        }
    }

    #[test]
    fn a_run_ends_before_the_first_byte_that_needs_an_escape_wherever_it_stands() {
        for byte in 0..=255_u8 {
            let is_special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
            for length in 0..20 {
                for at in 0..length {
                    // Neighbours that a borrow could come from or go to.
                    for around in [0x20, b'#', b']', 0x7f, 0xff] {
                        let mut bytes = vec![around; length];
                        bytes[at] = byte;
                        let run = if is_special { at } else { length };
                        assert_eq!(
                            plain_run(&bytes),
                            run,
                            "{byte} at {at} of {length} among {around}"
                        );
                    }
                }
            }
        }
    }
}
