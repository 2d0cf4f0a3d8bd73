# XML-RPC server on Perl's Frontier::Daemon, as README.md says.
#
# usage: perl frontier.pl
use strict;
use warnings;
use Frontier::Daemon;

my $executed = 0;

$SIG{TERM} = sub {
    print "executed=$executed\n";
    exit 0;
};

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
    LocalAddr => '127.0.0.1',
    methods   => { block_ip => sub { $executed++; return 1 } },
) or die "listen: $!\n";
