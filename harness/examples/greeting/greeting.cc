// The shortest use of Reel's client: a view in memory, one transaction, and a look at it.
//
//   greeting ADDRESS[,ADDRESS…] TOKEN_FILE WORDS
#include <reel/client.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

int complain(const std::string& text) {
  std::fprintf(stderr, "greeting: %s\n", text.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return complain("usage: greeting ADDRESS[,ADDRESS…] TOKEN_FILE WORDS");
  const std::string words = argv[3];
  reel::ConnectOptions options;
  options.addresses = split(argv[1]);
  options.token_file = argv[2];
  const auto client = reel::Client::connect(options);
  if (!client) return complain(client.error().text);

  // The view: what was said, by id. Only the client's thread touches it until close().
  std::map<std::uint64_t, std::string> said;
  reel::Mount mount;
  mount.apply = [&](const reel::CommittedTransaction& one) -> std::expected<void, std::string> {
    said[one.id] = one.data;
    return {};
  };
  if (const auto mounted = (*client)->mount(0, mount); !mounted) return complain(mounted.error().text);

  reel::Transaction greeting;
  greeting.partition = 0;
  greeting.execute = [&](const reel::Attempt&) {
    reel::Draft draft;
    draft.data = words;
    return draft;
  };
  const reel::Pending pending = (*client)->submit(greeting);
  const reel::Outcome outcome = pending.wait();
  if (!outcome.committed()) return complain(std::string(name_of(outcome.kind)) + ": " + outcome.text);
  // What is committed is in this client's own view a little later.
  if (pending.wait_applied_for(std::chrono::seconds(10)) != reel::Applied::applied)
    return complain("not applied");

  (*client)->close(std::chrono::seconds(5));
  std::printf("%llu %s\n", static_cast<unsigned long long>(outcome.id), said.at(outcome.id).c_str());
}
