# XML-RPC server on Perl's RPC::XML::Server, as README.md says.
#
# usage: perl rpcxml.pl OUT-FILE
use strict;
use warnings;
use RPC::XML::Server;

my $out_file = shift or die "usage: rpcxml.pl OUT-FILE\n";

# A method that writes its parameters down while they still have their types:
# RPC::XML::Function hands plain Perl scalars to its code.
package Recorder {
    our @ISA = ('RPC::XML::Function');

    sub call {
        my ($self, $server, @params) = @_;
        open my $out, '>>', $out_file or die "open $out_file: $!";
        print {$out} join(' ', $self->name, map { show($_) } @params) . "\n";
        close $out or die "close $out_file: $!";
        return $self->SUPER::call($server, @params);
    }

    sub show {
        my ($value) = @_;
        return 's:' . utf8_hex($value->value) if $value->type eq 'string';
        return 'i:' . $value->value if $value->type eq 'int' || $value->type eq 'i4';
        return '?:' . $value->type if $value->type ne 'struct';
        my $members = $value->value(1);
        return '{' . join(',', sort map { utf8_hex($_) . '=' . show($members->{$_}) } keys %$members) . '}';
    }

    sub utf8_hex {
        my ($text) = @_;
        utf8::encode($text);
        return unpack 'H*', $text;
    }
}

my $server = RPC::XML::Server->new(host => '127.0.0.1', no_default => 1);
die "$server\n" if !ref $server;
for my $method ('block_ip', 'other') {
    my $added = $server->add_method(Recorder->new(name => $method, signature => 'scalar', code => sub { 1 }));
    die "$added\n" if !ref $added;
}

$| = 1;
print 'http://127.0.0.1:', $server->port, "\n";
$server->server_loop;
