//! Values on their way from a text into the builders of columns.

use std::fmt;

use chrono::NaiveDate;
use domain::timestamp::{Day, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::builders::{Column, Member, Object};

/// Puts the next value there.
pub(super) struct Into<T>(pub(super) T);

impl<'de> DeserializeSeed<'de> for Into<&mut Object> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Into<&mut Object> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let object = self.0;
        let mut expected = 0;
        while let Some(index) = map.next_key_seed(Named { members: &object.members, expected })? {
            let Some(member) = index.and_then(|index| object.members.get_mut(index)) else {
                if !object.is_row {
                    return Err(A::Error::custom("a member that this release does not know"));
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if member.is_set {
                return Err(A::Error::custom(format!("{} stands there twice", member.name)));
            }
            member.is_set = true;
            map.next_value_seed(Into(&mut member.column))
                .map_err(|error| A::Error::custom(format!("{}: {error}", member.name)))?;
            expected = index.map_or(expected, |index| index + 1);
        }
        for member in &mut object.members {
            if !std::mem::take(&mut member.is_set) {
                member.column.null();
            }
        }
        object.nulls.append_non_null();
        object.length += 1;
        Ok(())
    }
}

/// The place of a member by its name. Members mostly come in one order.
struct Named<'a> {
    members: &'a [Member],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        if self.members.get(self.expected).is_some_and(|member| member.name == name) {
            return Ok(Some(self.expected));
        }
        Ok(self.members.iter().position(|member| member.name == name))
    }
}

impl<'de> DeserializeSeed<'de> for Into<&mut Column> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if let Column::Json(texts) = self.0 {
            let text: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
            texts.append_value(text.get());
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Into<&mut Column> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Column::Text(_) => "a text",
            Column::Json(_) => "JSON",
            Column::Int(_) | Column::Long(_) => "a whole number",
            Column::Double(_) => "a number",
            Column::Boolean(_) => "true or false",
            Column::Time(_) => "an instant",
            Column::Date(_) => "a day",
            Column::Struct(_) | Column::Map(..) => "an object",
            Column::List(_) => "a list",
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.0 {
            Column::Boolean(flags) => {
                flags.append_value(value);
                Ok(())
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.0 {
            Column::Long(numbers) => numbers.append_value(value),
            Column::Int(numbers) => numbers.append_value(value.try_into().map_err(E::custom)?),
            #[expect(clippy::cast_precision_loss, reason = "as every JSON number of this column")]
            Column::Double(numbers) => numbers.append_value(value as f64),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self)),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_i64(i64::try_from(value).map_err(E::custom)?)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.0 {
            Column::Double(numbers) => {
                numbers.append_value(value);
                Ok(())
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.0 {
            Column::Text(texts) => texts.append_value(text),
            Column::Time(times) => {
                let time = Timestamp::parse(text.as_bytes()).map_err(E::custom)?;
                times.append_value(time.as_micros());
            }
            Column::Date(days) => {
                let day = Day::parse(text.as_bytes()).map_err(E::custom)?.to_date();
                let since = day.signed_duration_since(NaiveDate::default()).num_days();
                days.append_value(since.try_into().map_err(E::custom)?);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Column::List(many) = self.0 else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        while items.next_element_seed(Into(&mut *many.items))?.is_some() {
            many.count_one()?;
        }
        many.end(true);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.0 {
            Column::Struct(object) => Into(object).visit_map(map),
            Column::Map(keys, many) => {
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    keys.append_value(key);
                    map.next_value_seed(Into(&mut *many.items))?;
                    many.count_one()?;
                }
                many.end(true);
                Ok(())
            }
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}
