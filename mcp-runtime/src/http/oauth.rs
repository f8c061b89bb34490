//! The way of a request to the OAuth proxy, and of its answer back.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Body;

use crate::auth::oauth_proxy::{Asked, MAX_BODY, Proxy, Route};
use crate::http::app::{Answer, App, close, plain, refused};
use crate::http::body::{self, BodyError};
use crate::http::guard::Outside;
use crate::http::stream::AnswerBody;

impl App {
    /// The host name counts here as everywhere; the origin does not where no cookie does.
    pub(super) async fn oauth<B: Body<Data = Bytes>>(
        &self,
        route: Route,
        request: Request<B>,
    ) -> Answer {
        let Some(proxy) = &self.oauth else {
            return plain(StatusCode::NOT_FOUND, "Not found\n");
        };
        let (head, body) = request.into_parts();
        match self.guard.check(&head.uri, &head.headers) {
            Ok(_) | Err(Outside::Origin) => {}
            Err(outside) => return refused(outside),
        }
        let mut answer = if head.method == Method::OPTIONS && route.is_shared() {
            preflight(route)
        } else {
            self.ask(&**proxy, route, &head, body).await
        };
        if route.is_shared() {
            // Without credentials: a token is sent on purpose or not at all.
            answer.headers_mut().insert(
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            );
        }
        answer
    }

    async fn ask<B: Body<Data = Bytes>>(
        &self,
        proxy: &dyn Proxy,
        route: Route,
        head: &http::request::Parts,
        body: B,
    ) -> Answer {
        let body = match body::read(&head.headers, body, MAX_BODY).await {
            Ok(body) => body,
            Err(BodyError::TooLarge) => {
                let text = "The body is larger than 64 KiB\n";
                return close(plain(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
            Err(BodyError::Broken) => {
                return close(plain(StatusCode::BAD_REQUEST, "The body ended early\n"));
            }
        };
        let asked = Asked {
            route,
            method: &head.method,
            query: head.uri.query(),
            headers: &head.headers,
            body,
            address: self.address(head),
        };
        proxy
            .answer(asked)
            .await
            .map(|body| AnswerBody::from(Full::new(body)))
    }
}

fn preflight(route: Route) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    let methods = HeaderValue::from_static(route.allow());
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("accept, authorization, content-type, mcp-protocol-version"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    answer
}
