//! Text forms of small values: bytes as hex digits, and serde by way of `Display` and `FromStr`.

use std::fmt::Write;

/// Serialises types as the text that they show, and reads them as they are parsed.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A String takes any text.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// From `2 * N` lower-case hex digits.
pub(crate) fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_an_exact_length_and_lower_case() {
        assert_eq!(hex(&[0, 255, 26]), "00ff1a");
        assert_eq!(from_hex(b"00ff1a"), Some([0, 255, 26]));
        for bad in ["", "00", "00ff1", "00ff1a00", "00FF1A", "00ff1g"] {
            assert_eq!(from_hex::<3>(bad.as_bytes()), None, "{bad}");
        }
    }
}
