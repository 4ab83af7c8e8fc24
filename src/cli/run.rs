//! `redis-keeper run`: runs a keeper, from its configuration to its exit code.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::descriptors;
use super::exit::Exit;
use super::logging;
use super::secret_files::SecretFiles;
use crate::adapters::clock::BootClock;
use crate::adapters::peers::HttpPeers;
use crate::adapters::place::place;
use crate::adapters::resolver::Resolver;
use crate::app::{Daemon, DaemonError, Front, Ports};
use crate::config::{self, Config};
use crate::domain::identity::Nonce;
use crate::http::server::bind_patiently;
use crate::supervision::{Watchdog, install_panic_hook};

/// The time for which the event loop may stand still. After that, the process aborts, so that its service manager
/// restarts it.
const STALL: Duration = Duration::from_secs(5);

/// Runs a keeper with the configuration in `file` until SIGTERM or SIGINT. After a failure, the last line of the log
/// has the cause.
pub fn run(file: &Path) -> Exit {
    let (config, warnings) = match Config::load(file, config::environment()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Config;
        }
    };
    let _log = logging::start(&config.log);
    for warning in warnings {
        tracing::warn!("configuration: {warning}");
    }
    prepare();
    // The actix system ends before the last message, so that no other message comes after it.
    let ended = actix::System::new().block_on(serve(&config));
    match ended {
        Ok(()) => Exit::Success,
        Err(failure) => {
            tracing::error!("{failure}");
            Exit::Failure
        }
    }
}

/// Prepares the process once, before a keeper starts.
pub(super) fn prepare() {
    install_panic_hook();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
}

/// Runs a keeper until a signal comes.
async fn serve(config: &Config) -> Result<(), DaemonError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| DaemonError::Refused(format!("{what}: {error}"))
    };
    let mut terminate =
        signal(SignalKind::terminate()).map_err(failed("SIGTERM can not be handled"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(failed("SIGINT can not be handled"))?;
    let hangup = signal(SignalKind::hangup()).map_err(failed("SIGHUP can not be handled"))?;
    let metrics = super::recorder::install()
        .map_err(|error| DaemonError::Refused(format!("metrics can not be recorded: {error}")))?;
    let resolver = Resolver::default();
    let redis = super::ports::redis(config, &resolver);
    let redis = Rc::new(redis.map_err(|error| DaemonError::Refused(error.to_string()))?);
    let ensemble = super::ports::zookeeper(config);
    let secrets = SecretFiles::of(config).follow(Rc::clone(&redis), ensemble.clone(), hangup);
    let ports = Ports {
        redis,
        coordination: super::ports::coordination(ensemble),
        peers: Rc::new(HttpPeers::resolved_by(resolver)),
        clock: Arc::new(BootClock),
        seed: rand::random(),
        nonce: Nonce::drawn(rand::random()),
        place: place(),
    };
    let rest = &config.rest;
    let listening = tokio::select! {
        bound = bind_patiently(&rest.host, rest.port) => bound,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let front = Front {
        listener: listening.map_err(|error| DaemonError::Refused(error.to_string()))?,
        connections: descriptors::for_http(config),
        metrics,
    };
    let daemon = Daemon::start(config, ports, front);
    let _watchdog = Watchdog::new(STALL)
        .on_beat(|| notify(&[NotifyState::Watchdog]))
        .spawn()
        .map_err(failed("no thread for the watchdog"))?;
    tracing::info!(
        keeper = %config.keeper_id,
        version = env!("CARGO_PKG_VERSION"),
        clusters = config.clusters.len(),
        rest = %format_args!("{}:{}", config.rest.host, config.rest.port),
        "started"
    );
    actix::spawn(secrets);
    let ready = daemon.ready();
    actix::spawn(async move {
        ready.await;
        tracing::info!("ready: the first lease is held");
        notify(&[NotifyState::Ready]);
    });
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM"),
            _ = interrupt.recv() => tracing::info!("SIGINT"),
        }
        notify(&[NotifyState::Stopping]);
    };
    daemon.run(stopped).await
}

/// Sends states to the service manager, if there is one.
fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
