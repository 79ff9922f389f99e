//! Health checking.

use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::check::Suite;
use crate::client::Server;
use crate::expect::{Outcome, differs, equal, refused, soon};
use crate::offers::Need;

pub(super) fn register(suite: &mut Suite) {
    suite
        .group("Health", "grpc/health/v1/health.proto")
        .needing(&[Need::Health])
        .check(
            "The server as a whole is SERVING",
            "HealthCheckRequest.service: empty for the server's overall health",
            serving,
        )
        .check("A service that is not known is NOT_FOUND", "Check: NOT_FOUND if the service name is unknown", unknown)
        .check(
            "Watch sends the status at once",
            "Watch: immediately sends back a message with the current status",
            watch,
        );
}

/// What the server says of `service`.
pub(crate) async fn ask(server: &Server, service: &str) -> Result<i32, Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(server.channel()).check(request).await?.into_inner().status)
}

async fn serving(server: Server) -> Outcome {
    equal("the status", &ask(&server, "").await?, &(ServingStatus::Serving as i32))
}

async fn unknown(server: Server) -> Outcome {
    refused(ask(&server, "reapi.conformance.NoService").await, &[Code::NotFound])
}

async fn watch(server: Server) -> Outcome {
    let request = HealthCheckRequest { service: String::new() };
    let mut stream = HealthClient::new(server.channel()).watch(request).await?.into_inner();
    match soon("the first status", stream.message()).await?? {
        Some(answer) => equal("the status", &answer.status, &(ServingStatus::Serving as i32)),
        None => differs("the stream has no message"),
    }
}
