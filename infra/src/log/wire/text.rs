//! Short ASCII texts, written without allocating.

use std::fmt::{self, Write};

use chrono::{Datelike, Timelike};
use domain::timestamp::Timestamp;

/// Room for the longest text that is made here: a UUID or `barrier-<16 hex>-<20 digits>`.
const LENGTH_MAX: usize = 48;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A short text on the stack. What each event has is written without the general formatter.
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
        debug_assert!(complete, "a text is longer than {LENGTH_MAX} bytes");
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

    pub(super) fn as_str(&self) -> &str {
        // Only whole texts and ASCII were put in.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits_are_lower_case() {
        assert_eq!(Ascii::hex([0, 255, 26]).as_str(), "00ff1a");
    }

    #[test]
    fn timestamps_are_written_as_the_domain_prints_them() {
        for micros in [0, 1, 1_767_225_600_123_456, -1, i64::MIN, i64::MAX] {
            let at = Timestamp::from_micros(micros);
            let text = Ascii::timestamp(at);
            assert_eq!(text.as_str(), at.to_string());
            assert_eq!(text.as_str().parse(), Ok(at));
        }
    }
}
