//! Header values are ASCII text; this writes them without allocating and reads them strictly.

use std::fmt::{self, Write};

use chrono::{Datelike, Timelike};
use domain::timestamp::Timestamp;
use uuid::Uuid;

/// Room for the longest header value that is made here: a UUID or `barrier-<16 hex>-<20 digits>`.
const LENGTH_MAX: usize = 48;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A short text on the stack. Numbers are written without the general formatter: each record has a
/// dozen of them.
pub(super) struct Ascii {
    bytes: [u8; LENGTH_MAX],
    length: usize,
}

impl Ascii {
    const EMPTY: Self = Self { bytes: [0; LENGTH_MAX], length: 0 };

    /// What does not fit is cut off, which no value that is written here can be.
    pub(super) fn of(value: impl fmt::Display) -> Self {
        let mut text = Self::EMPTY;
        let complete = write!(text, "{value}").is_ok();
        debug_assert!(complete, "a header value is longer than {LENGTH_MAX} bytes");
        text
    }

    pub(super) fn number(value: u64) -> Self {
        let mut text = Self::EMPTY;
        text.push(itoa::Buffer::new().format(value).as_bytes());
        text
    }

    /// An offset, of which only that of no record is negative.
    pub(super) fn offset(value: i64) -> Self {
        let mut text = Self::EMPTY;
        text.push(itoa::Buffer::new().format(value).as_bytes());
        text
    }

    /// Lower-case hex digits.
    pub(super) fn hex<const N: usize>(value: [u8; N]) -> Self {
        let mut text = Self::EMPTY;
        for byte in value {
            let digit = |nibble: u8| HEX[usize::from(nibble & 0xf)];
            text.push(&[digit(byte >> 4), digit(byte)]);
        }
        text
    }

    /// RFC 3339 with microseconds in UTC.
    pub(super) fn timestamp(at: Timestamp) -> Self {
        let at = at.to_datetime();
        let mut text = Self::EMPTY;
        // A timestamp is of the years 1 to 9999.
        let year = u32::try_from(at.year()).unwrap_or_default();
        for (value, digits, behind) in [
            (year, 4, b'-'),
            (at.month(), 2, b'-'),
            (at.day(), 2, b'T'),
            (at.hour(), 2, b':'),
            (at.minute(), 2, b':'),
            (at.second(), 2, b'.'),
            (at.nanosecond() / 1_000, 6, b'Z'),
        ] {
            text.push_padded(value, digits);
            text.push(&[behind]);
        }
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        true
    }

    /// The last so many digits.
    fn push_padded(&mut self, mut value: u32, digits: usize) {
        let Some(room) = self.bytes.get_mut(self.length..self.length + digits) else { return };
        for byte in room.iter_mut().rev() {
            *byte = HEX[usize::try_from(value % 10).unwrap_or_default()];
            value /= 10;
        }
        self.length += digits;
    }
}

impl Write for Ascii {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Decimal digits and nothing else.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0_u64, |value, &byte| value.checked_mul(10)?.checked_add(u64::from(digit(byte)?)))
}

pub(super) fn uuid(text: &[u8]) -> Option<Uuid> {
    Uuid::try_parse_ascii(text).ok()
}

pub(super) fn timestamp(text: &[u8]) -> Option<Timestamp> {
    Timestamp::parse(text).ok()
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_only() {
        for value in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(Ascii::number(value).as_bytes(), value.to_string().as_bytes());
            assert_eq!(number(value.to_string().as_bytes()), Some(value));
        }
        for bad in ["", "+1", "-1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn hex_digits_are_lower_case() {
        assert_eq!(Ascii::hex([0, 255, 26]).as_bytes(), b"00ff1a");
    }

    #[test]
    fn timestamps_are_written_as_the_domain_prints_them() {
        for micros in [0, 1, 1_767_225_600_123_456, -1, i64::MIN, i64::MAX] {
            let at = Timestamp::from_micros(micros);
            let text = Ascii::timestamp(at);
            assert_eq!(text.as_bytes(), at.to_string().as_bytes());
            assert_eq!(timestamp(text.as_bytes()), Some(at));
        }
    }

    #[test]
    fn timestamps_of_other_clients_are_read_too() {
        let at = "2026-01-31T12:00:00Z".parse().ok();
        assert_eq!(timestamp(b"2026-01-31T13:00:00+01:00"), at);
        assert_eq!(timestamp(b"2026-01-31T12:00:00.000000Z"), at);
        for bad in ["", "2026-02-30T12:00:00.000000Z", "2026-01-31T12:00:0x.000000Z", "now"] {
            assert_eq!(timestamp(bad.as_bytes()), None, "{bad}");
        }
    }
}
