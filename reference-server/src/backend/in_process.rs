//! The API in the same process: a tower call, no socket.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::ServiceExt;

use super::{Lost, MAX_ANSWER};

pub(super) async fn send(
    router: &Router,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Lost> {
    let answer = router.clone().oneshot(request.map(Body::from)).await;
    let (head, body) = match answer {
        Ok(answer) => answer.into_parts(),
        Err(never) => match never {},
    };
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Lost::TooLarge),
        Err(error) => Err(Lost::Broken(error)),
    }
}
