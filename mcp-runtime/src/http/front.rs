//! Several services behind one listener, each at its own path.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Request;
use hyper::body::Body;

use crate::http::app::{Answer, App, Place};
use crate::metrics::Figures;

/// What one listener serves. The first service also answers for what is nobody's: whether all is
/// well, paths that are unknown, and the ways and documents that have one path for all.
#[derive(Clone)]
pub(crate) struct Front(Arc<Services>);

struct Services {
    first: Arc<App>,
    others: Vec<Arc<App>>,
}

impl Front {
    pub(crate) fn new(first: Arc<App>, others: &[Arc<App>]) -> Self {
        Self(Arc::new(Services {
            first,
            others: others.to_vec(),
        }))
    }

    /// The services, the first one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<App>> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }

    /// What counts connections, which belong to no path.
    pub(crate) fn figures(&self) -> Option<&Arc<Figures>> {
        self.0.first.engine.figures.as_ref()
    }

    pub(crate) fn answer<B: Body<Data = Bytes>>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Answer> {
        self.of(request.uri().path()).answer(request)
    }

    /// Who answers at a path.
    fn of(&self, path: &str) -> &App {
        let owner = self.0.others.iter().find(|app| app.owns(path));
        owner.unwrap_or(&self.0.first)
    }

    pub(crate) fn wants_addresses(&self) -> bool {
        self.all().any(|app| app.proxies.is_some())
    }

    /// The listener stops: load balancers are to look elsewhere, and what waits for changes ends.
    pub(crate) fn stop(&self) {
        for app in self.all() {
            app.stopping.store(true, Ordering::Relaxed);
            app.engine.close();
        }
    }

    /// Connections that have outlived their request.
    pub(crate) fn peers(&self) -> usize {
        self.all().map(|app| app.peers.len()).sum()
    }

    pub(crate) async fn gone(&self) {
        for app in self.all() {
            app.peers.gone().await;
        }
    }

    pub(crate) fn cut_off(&self) {
        self.all().for_each(|app| app.peers.cut_off());
    }
}

impl App {
    /// Whether a path belongs to this service alone, also where it is not the first.
    fn owns(&self, path: &str) -> bool {
        match self.place(path) {
            Place::Endpoint | Place::Way(_) => true,
            #[cfg(feature = "auth")]
            Place::OAuth(_) => true,
            // At the root is the document of the first.
            Place::ResourceMetadata => self
                .metadata
                .as_ref()
                .is_some_and(|document| document.is_suffixed(path)),
            Place::Health | Place::Ready | Place::Elsewhere => false,
        }
    }

    /// Every path that this service alone answers at.
    pub(crate) fn paths(&self) -> Vec<String> {
        let path = &self.path;
        let mut paths = vec![path.clone(), format!("{path}/")];
        paths.extend(self.ways.paths(path));
        #[cfg(feature = "auth")]
        paths.extend(self.oauth.iter().flat_map(|oauth| oauth.paths()));
        paths.sort();
        paths.dedup();
        paths
    }

    /// Why another service cannot lie beside this one.
    pub(crate) fn collision(&self, other: &App) -> Option<String> {
        let taken = |app: &App, path: &str| !matches!(app.place(path), Place::Elsewhere);
        let mut shared = other.paths().into_iter().filter(|path| taken(self, path));
        let mut back = self.paths().into_iter().filter(|path| taken(other, path));
        let path = shared.next().or_else(|| back.next())?;
        Some(format!(
            "two services answer at `{path}`: give each its own path"
        ))
    }
}
