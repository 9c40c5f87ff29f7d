import subprocess,sys
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.exchange.formats import exported, Format, export_problems, read_foreign
from plugwarden_collector.errors import RulesError
def T(s): return '"'+s.replace('\\','\\\\').replace('"','\\"')+'"'
def slo(**k):
    d=dict(objective='0.99'); 
    for a,b in k.items(): d[a]= b if a in('objective','labels','min_events') else T(b)
    return "[[slo]]\n"+"\n".join(f"{a} = {b}" for a,b in d.items())+"\n"
cases={
 'tmpl name': slo(name='a{{b'),
 'tmpl inject': slo(name='x {{ with query "up" }}{{ . | first | value }}{{ end }}'),
 'tmpl owner': slo(name='a',owner='{{ externalURL }} {{'),
 'tmpl label': slo(name='a',labels='{team="{{ nope }}"}'),
 'dupe id': slo(name='b-c',labels='{service="a"}')+slo(name='c',labels='{service="a-b"}'),
 'window plugin': slo(name='a',plugins='a{{.window}}'),
 'set []': slo(name='a',plugins='[]'),
 'set [!]': slo(name='a',plugins='[!]'),
 'set [z-a]': slo(name='a',plugins='[z-a]'),
 'set [[:alpha:]]': slo(name='a',plugins='[[:x:]]'),
 'set [^a]': slo(name='a',plugins='[^a]'),
 'set [a-]': slo(name='a',plugins='[\\d-z]'),
 'set []a]': slo(name='a',plugins='[]a]'),
 'braces ,': slo(name='a',plugins='{a,b'),
 'braces2': slo(name='a',plugins='{,}'),
 'quote': slo(name='a"} or vector(1) #\\',plugins='x"} or vector(1) #\\'),
 'unic': slo(name='𝕏é—  x',plugins='é😀*'),
 'yaml': slo(name='null',owner='yes',labels='{a="1e3",b="0x10",c="2020-01-01",d="~", e="=", f="1:20", g="0o7", h="!!x", i="0b1", j="1_0"}'),
 'line': slo(name='a',description='  lead\\n\ttab \\n\\n trail  \\n') ,
 'labelclash': slo(name='a',labels='{plugin_version="1", __x="a"}'),
 'labelclash2': slo(name='a',labels='{alertstate="1", instance="a", job="j", window="w"}'),
 'labelver': slo(name='a',labels='{plugin_version="1"}'),
}
for n,t in cases.items():
    if n=='line':
        t='[[slo]]\nname="a"\nobjective=0.99\ndescription="  lead\\n\\ttab \\n\\n trail  \\n"\n'
    try: r=parse_rules(t,'x')
    except RulesError as e: print(n,'REFUSED',e.problems); continue
    except Exception as e: print(n,'CRASH',type(e),e); continue
    for f in Format:
        try: out=exported(r.objectives,f)
        except Exception as e: print(n,f,'CRASH export',type(e),e); continue
        open(f'out.{f}','w').write(out)
        if f=='prometheus':
            p=subprocess.run(['promtool','check','rules','out.prometheus'],capture_output=True,text=True)
            if p.returncode: print(n,'PROMTOOL',(p.stdout+p.stderr)[:500])
        # round trip
        try:
            if f=='prometheus': continue
            back=parse_rules(out,'x')
            if back.objectives!=r.objectives:
                print(n,f,'DIFFERENT', [ (a,b) for a,b in zip(back.objectives,r.objectives) if a!=b][:1])
        except RulesError as e: print(n,f,'BACK REFUSED',e.problems)
        except Exception as e: print(n,f,'BACK CRASH',type(e),e)
