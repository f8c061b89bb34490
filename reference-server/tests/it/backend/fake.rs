//! An API of which a test decides how it answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response};
use mcp_runtime::Server;
use mcp_runtime::testing::TestServer;
use reference_server::backend::{Backend, Limits};
use reference_server::school::School;
use reference_server::{App, Secret, copilot};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) const TOKEN: &str = "a-service-token-for-tests";

/// What a fake API was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An API on loopback. Gone with its value.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: AbortHandle,
}

impl Fake {
    /// Answers the nth request, counted from 0, as `answer` says.
    pub(crate) async fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(usize) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let journal = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let (journal, answer) = (Arc::clone(&journal), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
                let nth = {
                    let mut journal = journal.lock().expect("unpoisoned");
                    journal.push(Asked {
                        method: head.method.to_string(),
                        uri: head.uri.to_string(),
                        headers: head.headers,
                        body,
                    });
                    journal.len() - 1
                };
                answer(nth).await
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            asked,
            serving: serving.abort_handle(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    /// The copilot on this API.
    pub(crate) fn server(&self, limits: Limits) -> TestServer {
        server(&self.url, limits)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The copilot on an API at this URL.
pub(crate) fn server(url: &str, limits: Limits) -> TestServer {
    let backend = Backend::remote(url, &Secret::from(TOKEN), limits).expect("a client");
    TestServer::new(Server::with_state(
        App {
            backend,
            proxy: Default::default(),
            school: School::absent(),
        },
        copilot::tools(),
    ))
    .expect("a server")
}

pub(crate) fn reply(status: u16, body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    response.body(body.into()).expect("a response")
}

/// Limits that a test can wait for.
pub(crate) fn short() -> Limits {
    Limits {
        call: Duration::from_millis(400),
        invite: Duration::from_millis(600),
        ..Limits::default()
    }
}
