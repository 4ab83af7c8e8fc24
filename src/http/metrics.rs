//! `/metrics`, for Prometheus: the metrics that the process has recorded, and the state of every cluster at the time
//! of the request. `docs/http.md` describes each metric; `conf/prometheus-rules.yml` has the alarms.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/practices/naming/>.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use futures::{StreamExt as _, stream};

pub(super) use self::check_counters::CheckCounters;
use self::clusters::ClusterSamples;
use self::keeper::KeeperSamples;
use self::page::Page;
use super::backend::patiently;
use super::{HttpState, health, views};
use crate::domain::node::ClusterName;

mod check_counters;
mod clusters;
mod keeper;
mod nodes;
mod page;

/// The number of clusters that are asked at once. A scrape of thousands of clusters leaves the event loop time for
/// other work.
const ASKED_AT_ONCE: usize = 8;

pub(super) async fn metrics(state: Data<HttpState>) -> HttpResponse {
    let names = state.backend.clusters();
    let asked = stream::iter(&names).map(|name| ask(&state, name));
    let (mut clusters, session, ready): (Vec<_>, _, _) = futures::join!(
        asked.buffered(ASKED_AT_ONCE).collect(),
        patiently(|| state.backend.inspect_session()),
        health::may_answer(&state),
    );
    let session = session.ok();
    for cluster in &mut clusters {
        cluster.judge(session.as_ref(), |deadline| state.holds(deadline));
    }

    let mut page = Page::after(state.metrics.render());
    page.keeper(&KeeperSamples {
        check_counters: &state.check_counters,
        ready: ready.is_ok(),
        uptime: state.backend.supervision().uptime,
        session: session.as_ref(),
    });
    page.clusters(&clusters);
    page.nodes(&clusters);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
        .insert_header((header::CACHE_CONTROL, views::NO_STORE))
        .body(page.finish())
}

async fn ask<'a>(state: &HttpState, name: &'a ClusterName) -> ClusterSamples<'a> {
    let (view, explanation) = futures::join!(
        patiently(|| state.backend.inspect_cluster(name.as_str())),
        patiently(|| state.backend.explain_cluster(name.as_str())),
    );
    ClusterSamples::new(name, view.ok(), explanation.ok().as_ref())
}
