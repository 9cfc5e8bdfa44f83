#include "io/real/rpc_connection.h"

namespace reel::real {
namespace {

// A message may be traversed about four times its largest size: enough for honest ones, a bound for those in
// which many pointers share one target.
capnp::ReaderOptions reader_options() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * kFrameBytesMax / sizeof(capnp::word);
  options.nestingLimit = 32;
  return options;
}

}  // namespace

RpcConnection::RpcConnection(Transport& transport, kj::Own<kj::AsyncIoStream> stream)
    : stream_(transport, kj::mv(stream), true),
      network_(stream_, capnp::rpc::twoparty::Side::CLIENT, reader_options()),
      system_(capnp::makeRpcClient(network_)) {}

RpcConnection::RpcConnection(Transport& transport, kj::Own<kj::AsyncIoStream> stream,
                             capnp::Capability::Client bootstrap)
    : stream_(transport, kj::mv(stream), false),
      network_(stream_, capnp::rpc::twoparty::Side::SERVER, reader_options()),
      system_(capnp::makeRpcServer(network_, kj::mv(bootstrap))) {
  system_.setFlowLimit(kUnansweredBytesMax / sizeof(capnp::word));
}

capnp::Capability::Client RpcConnection::bootstrap() {
  capnp::MallocMessageBuilder message(8);
  auto other = message.initRoot<capnp::rpc::twoparty::VatId>();
  other.setSide(capnp::rpc::twoparty::Side::SERVER);
  return system_.bootstrap(other);
}

}  // namespace reel::real
