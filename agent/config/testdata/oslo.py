"""Answers, for the tests of the lab lane, what OpenStack's own code reads.

Reads a JSON list of jobs from standard input and writes the list of answers.
Job: {"kind": "parse"|"values"|"url", "text": ..., "options": [[group, name]...]}
"""
import json
import os
import socket
import sys
import tempfile

# Before anybody makes it the default of an option.
socket.gethostname = lambda: 'unused'

from kombu.utils.url import parse_url
from neutron.agent import l3_agent
from neutron.conf.agent import agent_extensions_manager
from oslo_config import cfg
from oslo_messaging import transport
from oslo_messaging._drivers import amqp
from oslo_messaging._drivers import impl_rabbit
from oslo_messaging.rpc import client

conf = cfg.CONF
l3_agent.register_opts(conf)
agent_extensions_manager.register_agent_ext_manager_opts(conf)
conf.register_opts(transport._transport_opts)
conf.register_opts(client._client_opts)
conf.register_opts(impl_rabbit.rabbit_opts + amqp.amqp_opts,
                   group='oslo_messaging_rabbit')


def parse(path, job):
    sections = {}
    cfg.ConfigParser(path, sections).parse()
    return sections


def text(value):
    if value is None:
        return ''
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ','.join(value)
    return str(value)


def values(path, job):
    conf.clear()
    conf(args=['--config-file', path], project='neutron',
         default_config_files=[], default_config_dirs=[])
    answer = {}
    for group, name in job['options']:
        key = '[%s] %s' % (group, name)
        # Neutron registers some of [agent] as AGENT, which is another group to
        # oslo.config until it looks into files.
        groups = [g for g in (group, group.upper()) if g in conf]
        for where in ([conf] if group == 'DEFAULT'
                      else [conf[g] for g in groups]):
            if name in where:
                break
        else:
            continue
        try:
            answer[key] = {'value': text(where[name])}
        except Exception as e:
            answer[key] = {'error': repr(e)}
    return answer


def url(path, job):
    u = transport.TransportURL.parse(conf, job['text'])
    if u.transport.split('+')[0] not in ('rabbit', 'kombu'):
        raise ValueError('another driver')
    hosts = u.hosts or [transport.TransportHost('localhost')]
    answer = []
    for h in hosts:
        # What the driver hands to kombu, with nothing in the way of slashes in
        # the password, of which the driver's own quoting makes nonsense.
        k = parse_url('amqp://h/%s' % (u.virtual_host or ''))
        answer.append([h.hostname, h.port or 5672, h.username or 'guest',
                       h.password or 'guest', k['virtual_host'] or '/'])
    return {'hosts': answer, 'query': u.query}


answers = []
for job in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, 'f.conf')
        with open(path, 'w', newline='') as f:
            f.write(job['text'])
        try:
            answers.append({'ok': globals()[job['kind']](path, job)})
        except (Exception, SystemExit) as e:
            answers.append({'error': repr(e)})
json.dump(answers, sys.stdout)
