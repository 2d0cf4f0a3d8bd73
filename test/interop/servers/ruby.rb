# XML-RPC server on Ruby's xmlrpc gem, as README.md says.
#
# usage: ruby ruby.rb OUT-FILE
require 'xmlrpc/server'

out_file = ARGV.fetch(0)

def utf8_hex(text)
  text.encode('UTF-8').unpack1('H*')
end

def show(value)
  case value
  when String then "s:#{utf8_hex(value)}"
  when Integer then "i:#{value}"
  when Hash then "{#{value.map { |name, member| "#{utf8_hex(name)}=#{show(member)}" }.sort.join(',')}}"
  else "?:#{value.class}"
  end
end

server = XMLRPC::Server.new(0, '127.0.0.1', 4, $stderr)
%w[block_ip other].each do |method|
  server.add_handler(method) do |*params|
    File.write(out_file, [method, *params.map { |param| show(param) }].join(' ') + "\n", mode: 'a')
    1
  end
end
$stdout.puts "http://127.0.0.1:#{server.port}"
$stdout.flush
server.serve
