// The same as greeting.cc, for a program on a KJ event loop: no thread, promises.
//
//   greeting_async ADDRESS TOKEN_FILE WORDS
#include <kj/async-io.h>
#include <reel/async_client.h>

#include <cstdio>
#include <string>

namespace {

int complain(const std::string& text) {
  std::fprintf(stderr, "greeting_async: %s\n", text.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return complain("usage: greeting_async ADDRESS TOKEN_FILE WORDS");
  kj::AsyncIoContext io = kj::setupAsyncIo();
  reel::ConnectOptions options;
  options.addresses = {argv[1]};
  options.token_file = argv[2];
  auto connected = reel::AsyncClient::connect(io.provider->getNetwork(), io.provider->getTimer(), options)
                       .wait(io.waitScope);
  if (!connected) return complain(connected.error().text);
  reel::AsyncClient& client = **connected;

  std::string last;
  reel::Mount mount;
  mount.apply = [&](const reel::CommittedTransaction& one) -> std::expected<void, std::string> {
    last = one.data;
    return {};
  };
  if (const auto mounted = client.mount(0, mount); !mounted) return complain(mounted.error().text);

  reel::Transaction greeting;
  greeting.partition = 0;
  greeting.execute = [&](const reel::Attempt&) {
    reel::Draft draft;
    draft.data = argv[3];
    return draft;
  };
  auto submitted = client.submit(greeting);
  if (!submitted) return complain(submitted.error().text);
  const reel::Outcome outcome = submitted->outcome.wait(io.waitScope);
  if (!outcome.committed()) return complain(name_of(outcome.kind));
  if (!client.flush(true, std::chrono::seconds(10)).wait(io.waitScope))
    return complain("not applied in time");
  if (last.empty()) return complain("the view is empty");

  auto found = client.lookup(0, outcome.id, std::chrono::seconds(10)).wait(io.waitScope);
  if (!found || !*found) return complain("not found");
  auto fate = client.resolve(0, outcome.request, false, std::chrono::seconds(10)).wait(io.waitScope);
  if (!fate || fate->id != outcome.id) return complain("its request is unknown");
  auto end = client.high_water(0, true, std::chrono::seconds(10)).wait(io.waitScope);
  if (!end || *end <= outcome.id) return complain("the log does not hold it");
  client.close(std::chrono::seconds(5)).wait(io.waitScope);
  std::printf("%llu %s\n", static_cast<unsigned long long>(outcome.id), (*found)->data.c_str());
}
