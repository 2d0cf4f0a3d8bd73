# XML-RPC server on Perl's RPC::XML::Server, as README.md says. It has the default
# methods, system.multicall among them.
#
# usage: perl rpcxml.pl
use strict;
use warnings;
use RPC::XML::Server;

my $executed = 0;

$SIG{TERM} = sub {
    print "executed=$executed\n";
    exit 0;
};

my $server = RPC::XML::Server->new(host => '127.0.0.1');
die "$server\n" if !ref $server;
my $added = $server->add_method(
    { name => 'block_ip', signature => ['int string struct'], code => sub { $executed++; return 1 } });
die "$added\n" if !ref $added;

$| = 1;
print 'http://127.0.0.1:', $server->port, "\n";
$server->server_loop;
