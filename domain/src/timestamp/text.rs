//! RFC 3339, read strictly and without allocating: records of the log have an instant each.

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::{Day, InvalidTime, Timestamp};

pub(super) fn timestamp(text: &[u8]) -> Result<Timestamp, InvalidTime> {
    let (date, text) = text.split_first_chunk::<10>().ok_or(InvalidTime::Form)?;
    let (time, text) = text.split_first_chunk::<9>().ok_or(InvalidTime::Form)?;
    let [b'T' | b't', h0, h1, b':', m0, m1, b':', s0, s1] = *time else {
        return Err(InvalidTime::Form);
    };
    let [hour, minute, second] = [number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?];
    let (micros, text) = fraction(text)?;
    let offset = offset(text)?;
    let date = calendar(date)?.ok_or(InvalidTime::Impossible)?;
    if second == 60 {
        return Err(InvalidTime::LeapSecond);
    }
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros);
    let time = time.ok_or(InvalidTime::Impossible)?;
    // The calendar reaches far beyond the year 9999, so an offset does not leave it.
    let at = date.and_time(time).checked_sub_signed(offset).ok_or(InvalidTime::OutOfRange)?;
    let micros = at.and_utc().timestamp_micros();
    let at = Timestamp::from_micros(micros);
    if at.as_micros() == micros { Ok(at) } else { Err(InvalidTime::OutOfRange) }
}

pub(super) fn day(text: &[u8]) -> Result<Day, InvalidTime> {
    let date: &[u8; 10] = text.try_into().map_err(|_not_ten| InvalidTime::DayForm)?;
    let date = calendar(date).map_err(|_form| InvalidTime::DayForm)?;
    let date = date.ok_or(InvalidTime::Impossible)?;
    if date < YEAR_1 { Err(InvalidTime::OutOfRange) } else { Ok(Day(date)) }
}

/// The calendar itself goes back further; what has four digits ends with 9999.
const YEAR_1: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("the calendar has a first year");

/// `2026-01-31`; `None` if the calendar has no such day.
fn calendar(text: &[u8; 10]) -> Result<Option<NaiveDate>, InvalidTime> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *text else {
        return Err(InvalidTime::Form);
    };
    let year = i32::try_from(number(&[y0, y1, y2, y3])?).map_err(|_large| InvalidTime::Form)?;
    Ok(NaiveDate::from_ymd_opt(year, number(&[m0, m1])?, number(&[d0, d1])?))
}

/// Microseconds of `.123456`, where there is such a part, and what follows it.
fn fraction(text: &[u8]) -> Result<(u32, &[u8]), InvalidTime> {
    let Some((b'.', text)) = text.split_first() else { return Ok((0, text)) };
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(length);
    if digits.is_empty() {
        return Err(InvalidTime::Form);
    }
    let mut micros = [b'0'; 6];
    micros.iter_mut().zip(digits).for_each(|(to, digit)| *to = *digit);
    Ok((number(&micros)?, rest))
}

/// What a local time is ahead of UTC.
fn offset(text: &[u8]) -> Result<TimeDelta, InvalidTime> {
    let (sign, text) = match text {
        [b'Z' | b'z'] => return Ok(TimeDelta::zero()),
        [b'+', text @ ..] => (1, text),
        [b'-', text @ ..] => (-1, text),
        _ => return Err(InvalidTime::Form),
    };
    let [h0, h1, b':', m0, m1] = *text else { return Err(InvalidTime::Form) };
    let (hours, minutes) = (number(&[h0, h1])?, number(&[m0, m1])?);
    if hours > 23 || minutes > 59 {
        return Err(InvalidTime::Form);
    }
    let minutes = hours.saturating_mul(60).saturating_add(minutes);
    Ok(TimeDelta::minutes(i64::from(minutes).saturating_mul(sign)))
}

/// Decimal digits, few enough for their number to fit.
fn number(digits: &[u8]) -> Result<u32, InvalidTime> {
    digits.iter().try_fold(0_u32, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte.wrapping_sub(b'0')));
        Ok(value.saturating_mul(10).saturating_add(digit.ok_or(InvalidTime::Form)?))
    })
}
