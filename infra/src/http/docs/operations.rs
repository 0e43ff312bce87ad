//! What a contract says of the operation that a request has come to.

use axum::{extract::MatchedPath, http::Method};
use rustc_hash::FxHashMap;
use utoipa::openapi::{
    OpenApi,
    path::{Operation, PathItem},
};

/// Something of each operation of a contract, by path and method.
#[derive(Debug)]
pub(crate) struct Operations<T>(FxHashMap<String, Vec<(Method, T)>>);

impl<T> Operations<T> {
    pub(crate) fn of(contract: &OpenApi, read: impl Fn(&Operation) -> T) -> Self {
        let of_path = |item| by_method(item).map(|(method, it)| (method, read(it))).collect();
        let paths = contract.paths.paths.iter();
        Self(paths.map(|(path, item)| (path.clone(), of_path(item))).collect())
    }

    /// `None` if the contract has no such operation.
    pub(crate) fn find(&self, path: Option<&MatchedPath>, method: &Method) -> Option<&T> {
        // `HEAD` is the same without a body.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let operations = self.0.get(path?.as_str())?;
        operations.iter().find(|(of, _)| of == method).map(|(_, found)| found)
    }

    /// Whether the contract has the path, with this method or with others.
    pub(crate) fn has(&self, path: Option<&MatchedPath>) -> bool {
        path.is_some_and(|path| self.0.contains_key(path.as_str()))
    }
}

impl<T> Default for Operations<T> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

fn by_method(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let operations = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
        (Method::OPTIONS, &item.options),
    ];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}
