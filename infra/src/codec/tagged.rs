//! Gives serde an adjacently tagged enum whose tag and data do not come from one text.

use serde::de::{
    DeserializeSeed, Deserializer, MapAccess, Visitor,
    value::{BorrowedStrDeserializer, StrDeserializer},
};
use serde_json::{Error, de::SliceRead};

/// `{"type": name, "data": ...}`, with the data still in `data`. The type comes first, so that
/// serde knows the variant and reads the data straight into it.
pub(super) struct Tagged<'a, 'de> {
    pub(super) name: &'a str,
    pub(super) data: &'a mut serde_json::Deserializer<SliceRead<'de>>,
}

impl<'de> Deserializer<'de> for Tagged<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { tagged: self, next: Field::Type })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct Fields<'a, 'de> {
    tagged: Tagged<'a, 'de>,
    next: Field,
}

#[derive(Clone, Copy)]
enum Field {
    Type,
    Data,
    End,
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let key = match self.next {
            Field::Type => "type",
            Field::Data => "data",
            Field::End => return Ok(None),
        };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if let Field::Type = self.next {
            self.next = Field::Data;
            seed.deserialize(StrDeserializer::new(self.tagged.name))
        } else {
            self.next = Field::End;
            seed.deserialize(&mut *self.tagged.data)
        }
    }
}
