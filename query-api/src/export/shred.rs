//! JSON texts into columns, without a tree of JSON in between.
//!
//! **Invariant:** what a column cannot hold is an error, never a null: a sum over what was silently left
//! out would be wrong, and nobody would know. So is a member within a column that its struct lacks. Only
//! whole rows may have members without a column.

use std::{fmt, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, MapArray, StructArray,
    builder::{
        BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder,
        NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
    },
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields};
use chrono::NaiveDate;
use domain::timestamp::{Day, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::delta::{Field, Kind, schema};

/// The members of objects, a column each.
pub(crate) struct Columns(Object);

struct Object {
    members: Vec<Member>,
    /// Of structs within others only; a row is there whatever it has.
    nulls: NullBufferBuilder,
    length: usize,
    fields: Fields,
    is_row: bool,
}

struct Member {
    name: String,
    column: Column,
    is_set: bool,
}

enum Column {
    Text(StringBuilder),
    Json(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Struct(Object),
    List(Many),
    /// Its keys, and its values.
    Map(StringBuilder, Many),
}

/// Items of lists, or values of maps.
struct Many {
    items: Box<Column>,
    ends: Vec<i32>,
    count: i32,
    nulls: NullBufferBuilder,
    /// Of the whole.
    field: Arc<ArrowField>,
}

impl Columns {
    pub(crate) fn new(fields: &[Field]) -> Self {
        Self(Object { is_row: true, ..Object::new(fields) })
    }

    /// A row of the members of an object in JSON. After an error none of it is of any use.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        Into(&mut self.0).deserialize(&mut deserializer)
    }

    pub(crate) fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.0.members.into_iter().map(|member| member.column.finish()).collect()
    }
}

impl Object {
    fn new(fields: &[Field]) -> Self {
        let members = fields.iter().map(|Field { name, kind }| Member {
            name: name.clone(),
            column: Column::new(kind),
            is_set: false,
        });
        let (members, nulls) = (members.collect(), NullBufferBuilder::new(0));
        Self { members, nulls, length: 0, fields: schema::to_arrow(fields), is_row: false }
    }

    fn null(&mut self) {
        self.nulls.append_null();
        self.length += 1;
        self.members.iter_mut().for_each(|member| member.column.null());
    }
}

impl Many {
    fn new(item: &Kind, field: Arc<ArrowField>) -> Self {
        let nulls = NullBufferBuilder::new(0);
        Self { items: Box::new(Column::new(item)), ends: vec![0], count: 0, nulls, field }
    }

    fn end(&mut self, is_there: bool) {
        self.ends.push(self.count);
        self.nulls.append(is_there);
    }

    fn count_one<E: Error>(&mut self) -> Result<(), E> {
        let next = self.count.checked_add(1);
        self.count = next.ok_or_else(|| E::custom("too many items in one batch"))?;
        Ok(())
    }
}

impl Column {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Text | Kind::Other(_) => Self::Text(StringBuilder::new()),
            Kind::Json => Self::Json(StringBuilder::new()),
            Kind::Int => Self::Int(Int32Builder::new()),
            Kind::Long => Self::Long(Int64Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Time => {
                let builder = TimestampMicrosecondBuilder::new();
                Self::Time(builder.with_data_type(kind.to_arrow()))
            }
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Struct(fields) => Self::Struct(Object::new(fields)),
            Kind::List(item) => Self::List(Many::new(item, item.as_item())),
            Kind::Map(value) => {
                Self::Map(StringBuilder::new(), Many::new(value, value.as_entries()))
            }
        }
    }

    fn null(&mut self) {
        match self {
            Self::Text(texts) | Self::Json(texts) => texts.append_null(),
            Self::Int(numbers) => numbers.append_null(),
            Self::Long(numbers) => numbers.append_null(),
            Self::Double(numbers) => numbers.append_null(),
            Self::Boolean(flags) => flags.append_null(),
            Self::Time(times) => times.append_null(),
            Self::Date(days) => days.append_null(),
            Self::Struct(object) => object.null(),
            Self::List(many) | Self::Map(_, many) => many.end(false),
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(mut texts) | Self::Json(mut texts) => Arc::new(texts.finish()),
            Self::Int(mut numbers) => Arc::new(numbers.finish()),
            Self::Long(mut numbers) => Arc::new(numbers.finish()),
            Self::Double(mut numbers) => Arc::new(numbers.finish()),
            Self::Boolean(mut flags) => Arc::new(flags.finish()),
            Self::Time(mut times) => Arc::new(times.finish()),
            Self::Date(mut days) => Arc::new(days.finish()),
            Self::Struct(Object { members, mut nulls, length, fields, .. }) => {
                let arrays = members.into_iter().map(|member| member.column.finish());
                let arrays = arrays.collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields, arrays, nulls.finish(), length)?)
            }
            Self::List(Many { items, ends, mut nulls, field, .. }) => {
                let ends = OffsetBuffer::new(ends.into());
                Arc::new(ListArray::try_new(field, ends, items.finish()?, nulls.finish())?)
            }
            Self::Map(mut keys, Many { items, ends, mut nulls, field, .. }) => {
                let DataType::Struct(fields) = field.data_type() else {
                    return Err(ArrowError::SchemaError("a map has entries".to_owned()));
                };
                let arrays = vec![Arc::new(keys.finish()) as ArrayRef, items.finish()?];
                let entries = StructArray::try_new(fields.clone(), arrays, None)?;
                let ends = OffsetBuffer::new(ends.into());
                Arc::new(MapArray::try_new(field, ends, entries, nulls.finish(), false)?)
            }
        })
    }
}

/// Puts the next value there.
struct Into<T>(T);

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

#[cfg(test)]
mod tests;
