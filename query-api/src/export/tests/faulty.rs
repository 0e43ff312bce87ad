//! Storage that fails on purpose, over storage that does not.

use std::{
    fmt,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    path::Path,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// When a process is killed.
pub(super) struct Fuse {
    /// Before, or behind, this call.
    pub(super) steps: i64,
    /// Whether the last call was done, though nobody heard of it.
    pub(super) is_done: bool,
}

#[derive(Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    steps: AtomicI64,
    is_done: bool,
    loses_answers: bool,
    /// Lets others come first.
    random: Option<Mutex<StdRng>>,
}

enum Step {
    Go,
    Last,
}

impl Faulty {
    fn over(inner: Arc<dyn ObjectStore>) -> Self {
        let steps = AtomicI64::new(i64::MAX);
        Self { inner, steps, is_done: false, loses_answers: false, random: None }
    }

    pub(super) fn killed_at(inner: Arc<dyn ObjectStore>, fuse: Fuse) -> Self {
        let steps = AtomicI64::new(fuse.steps);
        Self { steps, is_done: fuse.is_done, ..Self::over(inner) }
    }

    pub(super) fn slow(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self { random: Some(Mutex::new(StdRng::seed_from_u64(seed))), ..Self::over(inner) }
    }

    /// Of every second commit, say, which is told to be somebody else's.
    pub(super) fn loses_answers(inner: Arc<dyn ObjectStore>) -> Self {
        Self { loses_answers: true, ..Self::over(inner) }
    }

    async fn step(&self) -> Result<Step> {
        let yields = self.random.as_ref().map_or(0, |it| it.lock().unwrap().random_range(0..8));
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        match self.steps.fetch_sub(1, Ordering::SeqCst) {
            i64::MIN..=0 => Err(killed()),
            1 => Ok(Step::Last),
            _ => Ok(Step::Go),
        }
    }

    async fn carry_out<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.step().await? {
            Step::Go => call.await,
            Step::Last => {
                if self.is_done {
                    call.await?;
                }
                Err(killed())
            }
        }
    }
}

fn killed() -> Error {
    Error::Generic { store: "faulty", source: "killed".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let loses = self.loses_answers && options.mode == PutMode::Create;
        let put = self.carry_out(self.inner.put_opts(path, bytes, options)).await?;
        if loses {
            let (path, source) = (path.to_string(), "it is there".into());
            return Err(Error::AlreadyExists { path, source });
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.carry_out(self.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.carry_out(self.inner.get_opts(path, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.steps.fetch_sub(1, Ordering::SeqCst) {
            i64::MIN..=1 => stream::once(async { Err(killed()) }).boxed(),
            _ => self.inner.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.step().now_or_never() {
            Some(Err(error)) => stream::once(async { Err(error) }).boxed(),
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.carry_out(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.carry_out(self.inner.copy_opts(from, to, options)).await
    }
}
