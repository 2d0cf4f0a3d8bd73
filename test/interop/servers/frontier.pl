# XML-RPC server on Perl's Frontier::Daemon, as README.md says.
#
# usage: perl frontier.pl OUT-FILE
use strict;
use warnings;
use Frontier::Daemon;

my $out_file = shift or die "usage: frontier.pl OUT-FILE\n";

sub utf8_hex {
    my ($text) = @_;
    utf8::encode($text);
    return unpack 'H*', $text;
}

sub show {
    my ($value) = @_;
    return 's:' . utf8_hex($value->value) if ref $value eq 'Frontier::RPC2::String';
    return 'i:' . $value->value if ref $value eq 'Frontier::RPC2::Integer';
    return '?:' . ref $value if ref $value ne 'HASH';
    return '{' . join(',', sort map { utf8_hex($_) . '=' . show($value->{$_}) } keys %$value) . '}';
}

sub recorder {
    my ($method) = @_;
    return sub {
        open my $out, '>>', $out_file or die "open $out_file: $!";
        print {$out} join(' ', $method, map { show($_) } @_) . "\n";
        close $out or die "close $out_file: $!";
        return 1;
    };
}

# Frontier::Daemon->new listens and never returns: the first accept is the
# place to tell the port.
package Announcing {
    our @ISA = ('Frontier::Daemon');
    my $announced = 0;

    sub accept {
        my ($self, @args) = @_;
        print 'http://127.0.0.1:', $self->sockport, "\n" if !$announced++;
        return $self->SUPER::accept(@args);
    }
}

$| = 1;
Announcing->new(
    LocalAddr   => '127.0.0.1',
    methods     => { map { $_ => recorder($_) } 'block_ip', 'other' },
    use_objects => 1,    # strings and integers keep their types
) or die "listen: $!\n";
