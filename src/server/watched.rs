//! A connection's bytes on their way to the HTTP layer: tells from them what it does, and ends it when that takes too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::config::Limits;
use crate::server::connections::{Activity, Connection};

/// Bytes both ways, of whatever kind.
pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// A stream whose connection is watched.
pub struct Watched {
    stream: Pin<Box<dyn Stream>>,
    connection: Arc<Connection>,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
    awaits_bytes: bool,
    has_unsent_bytes: bool,
}

impl Watched {
    /// Watches a stream for a connection.
    pub fn new(stream: impl Stream + 'static, connection: Arc<Connection>, limits: Limits) -> Self {
        let timer = Box::pin(tokio::time::sleep(limits.header_timeout));
        let stream = Box::pin(stream);
        Self { stream, connection, limits, timer, awaits_bytes: false, has_unsent_bytes: false }
    }

    /// The end of what the connection does now. Bodies and requests have their limits in the API, which can answer.
    fn deadline(&self) -> Option<Instant> {
        let (activity, since) = self.connection.activity();
        match activity {
            Activity::Accepted | Activity::Head => Some(since + self.limits.header_timeout),
            Activity::Idle => Some(since + self.limits.idle_timeout),
            Activity::Sending => Some(since + self.limits.answer_timeout),
            Activity::Receiving | Activity::Working => None,
        }
    }

    /// After an answer that is sent, hyper reads for the next request.
    fn notice_sent(&mut self) {
        let (activity, _) = self.connection.activity();
        if activity == Activity::Sending && self.awaits_bytes && !self.has_unsent_bytes {
            self.connection.begin(Activity::Idle);
        }
    }

    fn bound_write<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        self.has_unsent_bytes = true;
        self.poll_deadline(context)
    }

    /// Called where there is nothing to do but wait.
    fn poll_deadline<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream.as_mut().poll_read(context, buffer);
        self.awaits_bytes = polled.is_pending();
        let (activity, _) = self.connection.activity();
        if polled.is_pending() {
            match activity {
                Activity::Accepted => self.connection.turn_to(Activity::Head),
                // While a request is worked on, hyper reads only the rest of its body.
                Activity::Working => self.connection.turn_to(Activity::Receiving),
                Activity::Sending => self.notice_sent(),
                Activity::Head | Activity::Receiving | Activity::Idle => {}
            }
            return self.poll_deadline(context);
        }
        if buffer.filled().len() > before {
            match activity {
                Activity::Idle => self.connection.begin(Activity::Head),
                Activity::Receiving => self.connection.turn_to(Activity::Working),
                Activity::Accepted | Activity::Head | Activity::Working | Activity::Sending => {}
            }
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.as_mut().poll_write(context, bytes);
        self.bound_write(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.as_mut().poll_write_vectored(context, parts);
        self.bound_write(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream.as_mut().poll_flush(context);
        if polled.is_ready() {
            self.has_unsent_bytes = false;
            self.notice_sent();
            if self.awaits_bytes && self.poll_deadline::<()>(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        self.bound_write(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
