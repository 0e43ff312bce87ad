//! What is given is there: a parameter or a whole body may be left out, but none can be `null`.
//!
//! An `Option` says both to those who make a contract of it. Within a body that is so; around it, `null`
//! is a text like any other in a header, and no object in a body.

use utoipa::openapi::{
    RefOr, Schema,
    path::Operation,
    schema::{SchemaType, Type},
};

/// Takes `null` out of what stands for a whole parameter or a whole body.
pub(super) fn tidy(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            without_null(schema);
        }
    }
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(schema) = &mut content.schema
        {
            without_null(schema);
        }
    }
}

fn without_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(plain) = schema else { return };
    match plain {
        Schema::Object(object) => not_null(&mut object.schema_type),
        Schema::Array(array) => not_null(&mut array.schema_type),
        Schema::OneOf(one_of) => {
            one_of.items.retain(|item| !is_null(item));
            if let [only] = one_of.items.as_slice() {
                *schema = only.clone();
            }
        }
        _ => {}
    }
}

fn not_null(types: &mut SchemaType) {
    if let SchemaType::Array(several) = types {
        several.retain(|kind| *kind != Type::Null);
        if let [only] = several.as_slice() {
            *types = SchemaType::Type(only.clone());
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object))
        if object.schema_type == SchemaType::Type(Type::Null))
}
