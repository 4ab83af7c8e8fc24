//! `OPTIONS`, by which HAProxy checks where its configuration names no method
//! (<https://docs.haproxy.org/2.6/configuration.html#4.2-option%20httpchk>).

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{Handler, HttpRequest, HttpResponse, Responder};
use futures::FutureExt as _;
use futures::future::Map;

/// Methods of a path that is checked.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// Answers as this handler does, without the body.
#[derive(Clone)]
pub(super) struct AsHead<F>(pub(super) F);

/// An answer without its body.
pub(super) struct Bodiless<R>(R);

impl<F, Args> Handler<Args> for AsHead<F>
where
    F: Handler<Args>,
{
    type Output = Bodiless<F::Output>;
    type Future = Map<F::Future, fn(F::Output) -> Bodiless<F::Output>>;

    fn call(&self, args: Args) -> Self::Future {
        self.0.call(args).map(Bodiless)
    }
}

impl<R: Responder> Responder for Bodiless<R> {
    type Body = ();

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<()> {
        let mut response = self.0.respond_to(request).set_body(());
        let methods = HeaderValue::from_static(METHODS);
        response.headers_mut().insert(ALLOW, methods);
        response
    }
}
