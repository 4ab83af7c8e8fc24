//! The method `OPTIONS` for checks. HAProxy uses this method if its configuration names none
//! (<https://docs.haproxy.org/2.6/configuration.html#4.2-option%20httpchk>).

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{Handler, HttpRequest, HttpResponse, Responder};
use futures::FutureExt as _;
use futures::future::Map;

/// The methods of a path for checks.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// A handler with the answers of another one, without their bodies.
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
